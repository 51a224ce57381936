"""Hostile inputs over all doors: the corpus, and what each input costs the others.

``make hostile`` runs it with the clock and writes the figures into docs/security.md; the tests run it without.

``corpus``            all inputs
``http_corpus``       those over HTTP: REST and event streams
``newer_corpus``      those of what came later over HTTP: the classic API, OAuth, the advisor, webhooks, documents
``graphql_corpus``    those of GraphQL
``live_corpus``       those of WebSockets and Socket.IO
``mcp_corpus``        those of MCP
``mqtt_corpus``       those of MQTT, over TCP and WebSocket
``grpc_corpus``       those of gRPC, and of HTTP/2 beneath it
``crowd_corpus``      those of many clients at once, at all doors
``inputs``            what an input is, and how one is sent at each kind of door
``wires``             connections byte by byte
``target``            the gateway that is attacked
``serve``             what runs in its process: ``petstore serve`` with a witness on the event loop
``probes``            clients beside, whose delay is measured
``measure``           runs inputs while the probes go on
``report``            the figures as tables
``test_corpus``       the corpus without the clock
``test_parsers``      the parsers of all doors, fed with anything
"""
