"""A connected client without a socket; every live door is an encoding of it.

What a client may say and is told:
    ``commands``           the content of each command
    ``replies``            the content of replies and of the greeting
    ``vocabulary``         every command: what it does, how it is acknowledged
    ``chat_messages``      how events look on the chat doors

One client:
    ``client``             its life: greeting, heartbeat, commands, goodbye, release
    ``session``            its state: login, topics
    ``inbound_rate``       how fast it is read
    ``connection``         where its data goes, as an interface
    ``delivery``           from a subscription to there
    ``chats``              the chats it has joined
    ``receipts``           the messages that have reached it
    ``current_state``      what topics say at present, for clients that begin to listen
    ``durable_sessions``   what is kept of it while it is away

All clients of a node:
    ``sessions``           opened here, and ended together
    ``connection_counts``  how many each caller has
    ``chat_presence``      who is in which chat
    ``chat_queue``         agents, and chats that wait for one
"""
