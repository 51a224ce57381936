"""The REST door: HTTP requests under /v1 (RFC 9110) become calls of the store, and its answers become responses.

``adapter``     one request
``bindings``    the operations, their methods and their paths
``endpoint``    one operation: from a request to a call, from its outcome to an answer
``wire``        reading requests

How the store's errors look is said once for all doors on HTTP, in ``protocols.http.problems``.

The OpenAPI document:
    ``openapi``     made of the operations and the bindings
    ``components``  its parts that are the same for all operations
    ``tags``        what the operations are about
    ``links``       where an answer leads
    ``pages``       the documents for people and tools, and Swagger UI
"""
