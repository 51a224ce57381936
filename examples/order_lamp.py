"""A lamp that shows the status of its user's orders. It has no keyboard: its user allows it in a browser (RFC 8628).

Beside a gateway that `make run` has started, in its environment (`. .venv/bin/activate`):

    python examples/order_lamp.py

Open the address that it prints, enter the code, and log in as demo / demo-password; then order a pet as demo. On a
gateway of your own register an OAuth client with the grant type DEVICE_CODE and the scope read:orders, and give its id.
"""

import json
import os
import sys
import time
from typing import Any

import httpx
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

STORE = os.environ.get("PETSTORE_URL", "http://127.0.0.1:8080")
MQTT_HOST, MQTT_PORT = os.environ.get("MQTT_HOST", "127.0.0.1"), int(os.environ.get("MQTT_PORT", "1883"))
#: The one that the demo knows.
CLIENT_ID = os.environ.get("CLIENT_ID", "00000000-0000-7000-8000-0000000000a3")
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"


def get_token(store: httpx.Client) -> str:
    """Show a code, and wait until the user has allowed what the lamp asks for."""
    asked = {"client_id": CLIENT_ID, "scope": "read:orders"}
    codes = store.post("/v1/oauth/device_authorization", data=asked).raise_for_status().json()
    print(f"Open {codes['verification_uri']} and enter {codes['user_code']}", flush=True)
    interval = codes["interval"]
    while True:
        time.sleep(interval)
        form = {"grant_type": GRANT_TYPE, "device_code": codes["device_code"], "client_id": CLIENT_ID}
        answer = store.post("/v1/oauth/token", data=form).json()
        if "access_token" in answer:
            return str(answer["access_token"])
        if answer["error"] == "slow_down":
            interval += 5
        elif answer["error"] != "authorization_pending":
            sys.exit(answer["error_description"])


def show(_: Client, __: Any, message: MQTTMessage) -> None:
    """Show the status of an order: at first those that there are, then each change."""
    event = json.loads(message.payload)
    print(f"{message.topic}: {event['data']['newStatus']}", flush=True)


with httpx.Client(base_url=STORE) as http:
    try:
        token = get_token(http)
    except httpx.ConnectError:
        sys.exit(f"Is the gateway running at {STORE}?")
lamp = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
lamp.username_pw_set("lamp", token)  # Any name will do: the token says whose orders these are.
lamp.on_connect = lambda client, *_: client.subscribe("orders/+/status", qos=1)
lamp.on_message = show
lamp.connect(MQTT_HOST, MQTT_PORT)
lamp.loop_forever()
