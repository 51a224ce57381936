"""Observability: logs and metrics.

``calls``       metrics and log lines of gRPC calls and MQTT connections
``logs``        structured logs without secrets
``access_log``  one line per request or live connection
``metrics``     metrics in Prometheus' text format
"""
