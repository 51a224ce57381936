"""What the store keeps and shows: one module an aggregate, with its records, bodies, parameters and events."""
