"""The classic door: the Swagger Petstore's API under /api/v3, for clients that were written for that.

``adapter``    one request
``bindings``   the operations, their methods and their paths
``endpoint``   one operation: from a request to a call, from its outcome to an answer
``wire``       members of bodies, as leniently as Jackson reads them, and answers as it writes them
``forms``      bodies of web forms
``xml``        XML, read within bounds, and written
``errors``     errors as the original's framework and controllers tell them
``openapi``    the OpenAPI 3.0 document
``responses``  its parts that are the same for many operations
"""
