"""Storage of records and of the event log: SQLite, PostgreSQL, memory.

* ``tables``, ``columns``, ``mapping``: the tables, their types, and how records become rows
* ``conditions``, ``matching``: queries in SQL, and in memory
* ``sql``, ``transaction``: what both databases have in common; ``sqlite``, ``postgresql``: what they have not
* ``log``, ``consumer_sql``, ``upserts``: their statements
* ``errors``, ``shielded``: the databases' errors in the store's terms, and steps that a cancellation cannot cut short
* ``memory``: storage without a database
* ``migration``, ``migrations``, ``opening``: tables brought up to date, and storage by its URL
"""
