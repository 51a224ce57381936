"""An MQTT broker of its own beside the gateway: fed with every event, and devices' telemetry taken from it."""
