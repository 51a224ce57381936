"""The Server-Sent Events door: GET /v1/events (HTML Living Standard, section 9.2).

``adapter``   one request, and the stream that answers it
``wire``      blocks of the stream
``errors``    how errors look: a problem before, a last block after
``openapi``   what the OpenAPI document says of the door
``asyncapi``  what the AsyncAPI document says of it
"""
