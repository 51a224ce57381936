"""The servers of the HTTP, gRPC and MQTT ports, and the connections that they hand to the doors.

``server``              uvicorn with a drain in place of its shutdown
``listening``           sockets, bound before anything else starts
``http_protocol``       HTTP/1.1 connections
``http_connection``     the client's connection during one request
``forwarded``           the client in whose name a proxy asks
``request_head``        what a request must be to be read on
``websocket_protocol``  WebSocket connections
``tcp``                 TCP and TLS connections, for MQTT
``proxy_protocol``      the same behind a proxy that names its clients ahead of their bytes
``grpc_server``         the gRPC port
``grpc_standard``       its standard services: health and reflection
``open_connections``    bounds those of one network
``progress``            whether a peer still reads, asked of the kernel
``monitor``             ends stalled, silent and idle connections
"""
