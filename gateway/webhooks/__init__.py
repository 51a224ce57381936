"""The HTTP client that posts to endpoints of others.

* ``targets``: which URLs and addresses may be posted to
* ``client``: the requests, each to an address that was checked
"""

from gateway.webhooks.client import HttpWebhookSender

__all__ = ["HttpWebhookSender"]
