"""Storage of records and of the event log: SQLite, PostgreSQL, memory."""
