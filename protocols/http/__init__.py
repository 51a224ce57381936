"""What the doors on HTTP share: credentials in a request, faults as problems (RFC 9457) and as messages, frames."""
