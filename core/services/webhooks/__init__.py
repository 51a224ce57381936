"""Webhooks: events sent to endpoints of others, at least once and in the order of each resource. See docs/webhooks.md.

* ``signing``: secrets and signatures
* ``records``: what is kept, and how deliveries move on
* ``access``: which webhooks a caller has to do with
* ``management``: webhooks, made and changed
* ``deliveries``: what was delivered, test events, and deliveries sent again
* ``callbacks``: single requests about the payment of an order
* ``wanted``: from an event to the webhooks that want it; ``fan_out``: from the log to deliveries
* ``dispatch``: deliveries that are due, attempted; ``deliverer``: all of it, in the one process that has the lease
"""
