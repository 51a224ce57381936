"""The store itself: no transport, no database, no framework. From the lowest room to the highest: each may
import those named before it, never one named later.

``kernel``    the vocabulary of all: ids, clock, errors, events, topics, cursors, callers, models, validation, limits
``ports``     what the store needs from outside, as interfaces
``models``    what the store keeps and shows: one module an aggregate, with its bodies, parameters and events
``hub``       the live end of the event log: rings, selections, subscriptions; durable consumers and leases
``auth``      from credentials to a caller, and what a caller may see and do
``store``     what surrounds an operation: the pipeline, its transaction, idempotency, the read cache
``services``  the operations: one module an aggregate, with its rules and its declarations
``live``      a connected client without a socket; every live door is an encoding of it
"""
