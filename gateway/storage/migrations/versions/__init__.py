"""The versions of the tables, one module a step."""
