"""The HTTP and WebSocket server that all doors on the HTTP port share."""
