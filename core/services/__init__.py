"""The operations of the store: one module an aggregate, each with its rules and its declarations."""
