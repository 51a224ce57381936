"""The committed contracts, made from the code: OpenAPI, AsyncAPI, the GraphQL schema, and code from proto/."""
