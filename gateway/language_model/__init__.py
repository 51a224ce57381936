"""A language model behind an OpenAI-compatible server.

* ``wire``: conversations and tools as its API has them (Chat Completions)
* ``chunks``: the stream of an answer, read
* ``server``: the requests: their time-outs, how often they are tried, and what becomes of errors
* ``opening``: the model that the settings name
"""
