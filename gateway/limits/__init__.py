"""Counting requests: within this process, or for all nodes in Redis."""
