"""The composition root: everything that joins the store, the doors and the world outside.

``app``             the composition root: every adapter and every door, named in a line each
``node``            one running store, opened in order and closed in reverse
``settings``        the settings, read here and nowhere else
``data_directory``  the data directory, which belongs to one process
``secret``          what signs tokens: a secret or keys
``serving``         one process: from its sockets to its drain
``workers``         several processes behind one port
``router``          leads each request of the HTTP port to its door
``probes``          /healthz, /readyz, /metrics
``well_known``      /.well-known: the key set, the metadata of the resource
``garbage``         the garbage collector, kept from holding the loop for long
``health``          whether this node lives and should get work
``preflight``       whether the servers that the settings name can be reached
``startup_errors``  why the gateway cannot start
``maintenance``     chores while a node serves
``demo``            demo mode: accounts and data
``images``          images as files
``image_decoder``   images decoded by Pillow, large ones in a process of their own
``phones``          numbering plans of telephones
``payments``        the simulated payment processor
``storage``         records and the event log: SQLite, PostgreSQL, memory
``bus``             how nodes tell one another what happened
``rate_limits``     requests counted in process or in Redis
``security``        passwords and tokens
``broker``          an external MQTT broker
``webhooks``        the HTTP client that posts to endpoints of others
``language_model``  the language model of an OpenAI-compatible server
``server``          the servers of the HTTP, gRPC and MQTT ports
``observability``   logs and metrics
``contracts``       the committed documents
``cli``             the command line
"""
