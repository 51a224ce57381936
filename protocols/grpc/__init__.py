"""The gRPC door: the services of ``proto/petstore/v1`` (gRPC over HTTP/2).

``adapter``   what answers each method of each service
``bindings``  the operations and their methods
``rpc``       one call: who makes it, and how it ends
``unary``     calls with one request and one response
``images``    calls with one image, in parts
``buffer``    what waits for the client of one stream
``streams``   events as they happen, and conversations
``advisor``   the advisor's answers, token by token
``wire``      messages and the store's values, translated into one another
``errors``    how the store's errors look: statuses with details
``archive``   the .proto files, to be downloaded

``_generated`` is what ``make contracts`` makes of ``proto/``.
"""
