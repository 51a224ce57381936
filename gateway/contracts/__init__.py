"""The committed contracts, generated from the code: OpenAPI, AsyncAPI, the GraphQL schema, and code from proto/.

``documents``  which documents there are
``asyncapi``   the AsyncAPI document, made of what each live door declares
``webhooks``   what the OpenAPI document says of the requests that the store makes
``protobuf``   Python code made of proto/
``__main__``   `python -m gateway.contracts`
"""
