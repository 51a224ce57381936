"""The bridge to an external MQTT broker: it gets every event, and devices' readings are taken from it."""
