"""The GraphQL door at /v1/graphql (GraphQL, October 2021): every operation as a field, every event as a subscription.

By request and response (GraphQL over HTTP):
    ``adapter``             one request
    ``bindings``            the operations and their fields
    ``schema``              the schema: fields, links between resources, subscriptions
    ``feeds``               what subscriptions follow
    ``types``               its types, made of the core's models
    ``context``             what resolvers may use, and what was looked up already
    ``shape``               what a document may hold, counted on its tokens
    ``limits``              what an operation may cost
    ``documents``           the documents that are remembered
    ``execution``           from a text to a response
    ``pages``               GraphiQL, and the schema as text

Live (graphql-transport-ws on a WebSocket, graphql-sse as an event stream):
    ``socket``              one client on a WebSocket
    ``operations``          what it has under way
    ``completions``         answers of the advisor
    ``stream``              one client's event stream
    ``shared_executions``   one execution for all who ask the same with the same permissions

Both:
    ``door``                what the two share
    ``wire``                requests, messages and blocks
    ``errors``              how errors look
"""
