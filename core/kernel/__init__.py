"""The vocabulary of all: ids, clock, errors, events, topics, cursors, callers, models, validation, turns, limits.

``ids``         identifiers: UUID version 7
``addresses``   network addresses as budgets see them, and who may name them
``clock``       time: UTC, in whole milliseconds
``errors``      the closed set of errors; a `StoreError` answers a call, a `Close` ends a stream
``backoff``     how long to wait before another attempt
``cursor``      opaque places in the event log
``topics``      topics and topic filters
``events``      events, their audience and their envelope
``caller``      who calls, in which role and with which scopes
``contacts``    e-mail addresses, phone numbers, countries
``countries``   the countries of ISO 3166-1
``describing``  what members of models and values of enumerations mean
``model``       the base of all models: names, closed bodies, money, text, time
``validation``  input checked against a model, every violation at once; merge patches
``turns``       turns at what only a few can use at once, and slices of the loop
``limits``      the bounds of the store
"""
