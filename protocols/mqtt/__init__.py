"""The MQTT door: versions 5.0 and 3.1.1 (OASIS) over TCP, TLS and, at /mqtt, WebSocket; straight on the hub.

Where clients arrive:
    ``adapter``        connections on TCP and TLS
    ``socket``         connections on WebSocket
    ``server``         what the connections of a node share
    ``connection``     one connection: from bytes to packets, and its end
    ``writer``         its outgoing half, which is all that the parts of a client know of it
    ``connect``        what CONNECT says: credentials, client identifier, session expiry
    ``client``         one client, from CONNECT until nothing is left of it; its life is core's

What clients send:
    ``inbound``        messages that they publish
    ``telemetry``      the one kind of message that they may publish
    ``wills``          wills that wait
    ``subscriptions``  their subscriptions
    ``filters``        topic names and topic filters
    ``shared_subscriptions`` subscriptions whose subscribers take turns

What clients get:
    ``delivery``       events on their way to one client
    ``retained``       the current state, told to new subscriptions
    ``frames``         events as packets that clients share
    ``gate``           holds events back
    ``in_flight``      what is not acknowledged
    ``persistence``    sessions that outlast their connections

Bytes:
    ``framing``        where packets begin and end
    ``packets``        the packets of clients
    ``decoder``        from bytes to packets
    ``primitives``     the data types and properties in them
    ``encoder``        packets to clients
    ``errors``         errors of the store as reason codes

``statistics`` are figures for metrics; ``asyncapi`` is what the AsyncAPI document says of the door.

Where other doors have a file `wire`, MQTT's binary packets need those five. It has no `bindings`: no operation but the
report of a reading is open to its clients.
"""
