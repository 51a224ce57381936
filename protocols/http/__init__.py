"""What the doors on HTTP share: where credentials stand in a request, and errors as problem documents (RFC 9457)."""
