"""The vocabulary of all: ids, clock, errors, events, topics, cursors, callers, models, validation, limits."""
