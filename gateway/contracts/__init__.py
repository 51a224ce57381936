"""The committed contracts, generated from the code: OpenAPI, AsyncAPI, the GraphQL schema, and code from proto/."""
