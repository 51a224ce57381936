"""A connected client without a socket; every live door is an encoding of it."""
