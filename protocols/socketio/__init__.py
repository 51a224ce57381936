"""The Socket.IO door at /socket.io/ (Engine.IO protocol 4, Socket.IO protocol 5): chat and domain events.

python-socketio and python-engineio speak the protocols. What is due to a client goes past them, from the hub to his
connection: see `Mailbox`.
"""
