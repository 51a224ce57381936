"""The Socket.IO door at /socket.io/ (Engine.IO protocol 4, Socket.IO protocol 5): chat and domain events.

python-socketio and python-engineio speak the protocols. What is due to a client goes past them, from the hub to his
connection.

``adapter``   one request: what the library cannot work with is refused here
``engine``    the Engine.IO layer: connections
``server``    the Socket.IO layer: who connects, and his events
``client``    one client: a session and its outlet
``mailbox``   what waits for him
``wire``      packets in both directions
``errors``    how the store's faults look
``asyncapi``  what the AsyncAPI document says of the door
"""
