"""The WebSocket door: chat at /v1/ws/chat, domain events at /v1/ws/events (RFC 6455, JSON text frames)."""
