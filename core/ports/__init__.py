"""What the store needs from outside, as interfaces; the implementations are in the gateway.

* ``records``, ``log``: the tables with their transactions, and the event log
* ``coordination``: leases, consumers' positions, the bus, rate limits
* ``security``: password hashes, signatures, revocations
* ``storage``: the database as a whole
* ``images``, ``payments``: images, stored and decoded, and the payment processor
* ``language_model``: conversations with a large language model
* ``phones``: numbering plans; ``webhooks``: sending to endpoints of others
"""
