"""The Server-Sent Events door: GET /v1/events (HTML Living Standard, section 9.2)."""
