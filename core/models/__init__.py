"""What the store keeps and shows: one module an aggregate, with its records, bodies, parameters and events.

``callbacks``         callbacks about the payment of orders
``catalogue``         every kind of event
``activity``          when a private tenant was used last
``advisor``           conversations with the advisor, and its answers
``adoptions``         applications for pets
``api_keys``          API keys
``auth``              logins
``classic``           what is kept of classic clients' pets, orders and users
``classic_calls``     what classic clients ask for, send and see
``chats``             support chats and their messages
``devices``           devices
``durable_sessions``  sessions of live clients that outlast their connections
``examples``          example values for the documents, consistent with one another
``idempotency``       responses that are kept to be replayed
``images``            images of pets
``inventory``         the stock
``oauth``             OAuth clients, what users allowed them, authorization codes
``orders``            orders
``payments``          payments and receipts
``pet_search``        filters of the list of pets, and the criteria of a search
``pets``              pets
``recent_events``     what has happened since a cursor
``readings``          what devices report
``tenant``            emptying and seeding a tenant
``users``             users
``webhooks``          webhooks and deliveries to them
"""
