"""The MQTT door: versions 3.1.1 and 5 over TCP, TLS and WebSocket (`/mqtt`), straight on the hub."""
