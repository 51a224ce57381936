"""What the store needs from outside, as interfaces; the implementations live in the gateway."""
