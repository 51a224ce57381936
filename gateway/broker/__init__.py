"""The bridge to an external MQTT broker: it gets every event, and devices' readings are taken from it.

``address``       where the broker is
``link``          one connection to it
``bridge``        the process that holds the lease publishes every event and takes readings
``publishing``    events as messages
``readings``      devices' readings, taken from the broker
``devices``       the devices of all tenants, in memory
``acl``           who may do what at the broker
``control``       Mosquitto's dynamic-security plugin
``provisioning``  accounts at the broker follow the devices in the database
"""
