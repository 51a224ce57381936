"""The advisor door: POST /v1/chat/completions, GET /v1/models and /v1/models/{model}, in the shape of OpenAI's API.

``adapter``   one request: a completion whole or as a stream, or the models
``stream``    a completion as Server-Sent Events
``wire``      what is read and written: members in both spellings, chunks
``errors``    problems that carry OpenAI's error too
``openapi``   what the OpenAPI document says of the door
"""
