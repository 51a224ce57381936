"""The GraphQL door at /v1/graphql: HTTP, WebSocket (graphql-transport-ws), event streams (graphql-sse)."""
