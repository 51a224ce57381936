"""What the doors on HTTP share; no door itself.

Requests and responses:
    ``exchange``     one request, from its headers to its response
    ``response``     a response that ends
    ``routing``      what a path and a method lead to
    ``content``      what a request says of its body
    ``multipart``    uploads
    ``credentials``  where a client puts them
    ``headers``      fields that every door reads and writes
    ``json_text``    JSON as clients write it
    ``json_body``    a body in JSON, with what may be wrong with it
    ``query``        query parameters
    ``cors``         which web pages may call
    ``problems``     errors as problem documents (RFC 9457), with the one table of statuses
    ``error_data``   errors in JSON messages
    ``schemas``      JSON Schemas of what goes in and out, made from the models
    ``no_door``      answers to what is for no door
    ``pages``        pages for people, and what they load, as `web/` builds them
    ``downloads``    documents of a door for programs

Sockets and streams:
    ``sockets``      one client's WebSocket, from its acceptance to its end
    ``closing``      the codes by which it ends
    ``frames``       frames as a server writes them (RFC 6455)
    ``attendance``   whether somebody still waits for an answer
    ``connection``   the client's connection, as the server gives it
"""
