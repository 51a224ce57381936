"""The REST door: HTTP requests under ``/v1`` become calls of the store, and its answers become responses."""
