"""The Socket.IO door at /socket.io/ (Engine.IO protocol 4, Socket.IO protocol 5): chat and domain events.

python-socketio and python-engineio speak the protocols. What is due to a client goes past them, from the hub to its
connection.

``adapter``     one request: what the library cannot work with is refused here
``engine``      the Engine.IO layer: connections
``server``      the Socket.IO layer: who connects, and their events
``connection``  one client: its commands, and what it is told
``mailbox``     what waits for it
``inbox``       what it has posted
``wire``        packets in both directions
``errors``      how errors look
``asyncapi``    what the AsyncAPI document says of the door
"""
