"""Storage: one contract over memory, SQLite and PostgreSQL."""
