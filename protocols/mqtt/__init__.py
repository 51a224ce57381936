"""The MQTT door: versions 5.0 and 3.1.1 (OASIS) over TCP, TLS and, at /mqtt, WebSocket; straight on the hub.

The way in:
    ``adapter``        what the connections of a node share
    ``socket``         a connection on a WebSocket; those on TCP are the server's
    ``connection``     one client, from his first packet to what is left to do when he has gone
    ``connect``        what CONNECT says: who he is, his name, how long he is kept

What he does:
    ``inbound``        devices report, and wills
    ``wills``          wills that wait
    ``subscriptions``  subscriptions are granted, and begin with the present state
    ``filters``        filters and topics, as clients write them
    ``shared_subscriptions`` groups whose members take turns
    ``delivery``       events on their way to him, and what he has acknowledged
    ``persistence``    sessions that outlast their connections

Bytes:
    ``packets``        what clients may send
    ``decoder``        from bytes to packets
    ``fields``         the fields and properties in them
    ``encoder``        packets to clients
    ``errors``         how the store's faults look: reason codes

``asyncapi`` is what the AsyncAPI document says of the door.
"""
