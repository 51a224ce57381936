"""The WebSocket door: chat at /v1/ws/chat, domain events at /v1/ws/events (RFC 6455, JSON text frames).

``adapter``   one client
``wire``      messages in both directions
``errors``    how the end of a session looks: a last message
``asyncapi``  what the AsyncAPI document says of the door
"""
