"""The store itself: models, rules, events and the live hub; no transport, no database, no framework."""
