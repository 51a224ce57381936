"""The operations of the store: one module an aggregate, each with its rules and its declarations.

``catalogue``  every operation
``paging``     pages of collections, and records of all tenants page by page
``quotas``     how much a tenant may hold
``lookups``    several resources at once by their ids
``seed``       demo data
``classic``    the rules of the classic Petstore API
``numbers``    numbers of pets and orders
``advisor``    what people ask a pet shop, understood, looked up and answered
``advised_chats``  chats that wait, answered by the advisor
``adoptions``  adoptions: applied for, decided, withdrawn
``api_keys``   API keys
``applications``  applications announced, and ended with what they were for
``auth``       login, refresh, logout
``chats``      chats: opened, assigned, closed
``messages``   messages in chats: listed, sent, marked as delivered and read
``devices``    devices
``images``     images of pets
``inventory``  the stock
``oauth``      OAuth 2.0: clients, what users allow them, and the protocol's own requests
``orders``     orders
``unpaid_orders``  orders that nobody pays, cancelled
``cancelled_orders``  orders that were cancelled and never paid, removed
``idle_tenants``   tenants that nobody uses, removed
``orphan_images``  files of images without a record, removed
``payments``   payments and receipts
``pets``       pets
``recent_events``  what has happened since a cursor
``readings``   readings, taken from devices and announced
``sealing``    what a client brings back, and only the store can have made
``tokens``     access and refresh tokens of a login
``tenant``     emptying and seeding a tenant
``users``      users
``webhooks``   events sent to endpoints of others
"""
