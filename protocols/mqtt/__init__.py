"""The MQTT door: versions 5.0 and 3.1.1 (OASIS) over TCP, TLS and, at /mqtt, WebSocket; straight on the hub.

The way in:
    ``adapter``        what the connections of a node share
    ``socket``         a connection on a WebSocket; those on TCP are the server's
    ``connection``     one client, from his first packet to what is left to do when he has gone
    ``admission``      what CONNECT says: who he is, his name, how long he is kept

What he does:
    ``publishing``     devices report, and wills
    ``wills``          wills that wait
    ``listening``      subscriptions are granted, and begin with the present state
    ``subscriptions``  filters and topics, as clients write them
    ``sharing``        groups whose members take turns
    ``delivery``       events on their way to him, and what he has acknowledged
    ``keeping``        sessions that outlast their connections

Bytes:
    ``packets``        what clients may send
    ``reading``        from bytes to packets
    ``fields``         the fields and properties in them
    ``wire``           packets to clients
    ``errors``         how the store's faults look: reason codes

``asyncapi`` is what the AsyncAPI document says of the door.
"""
