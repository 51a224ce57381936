"""Addresses of brokers."""

import pytest

from gateway.broker.address import BrokerAddress
from gateway.settings import load_settings
from gateway.startup_errors import BadSettings


def test_an_address_says_where_and_as_whom() -> None:
    assert BrokerAddress.parse("mqtt://broker") == BrokerAddress("broker", 1883, False)
    assert BrokerAddress.parse("mqtts://broker") == BrokerAddress("broker", 8883, True)
    found = BrokerAddress.parse("mqtts://a%40b:p%3A%2Fs%25@[::1]:99/")
    assert found == BrokerAddress("::1", 99, True, "a@b", "p:/s%")
    assert str(found) == "mqtts://[::1]:99"
    assert "p:/s%" not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "broker",
        "tcp://broker",
        "mqtt://",
        "mqtt://user:hush@",
        "mqtt://user:hush@broker:port",
        "mqtt://user:hush@broker:99999",
        "mqtt://user:hush@broker:0",
        "mqtt://user:hush@broker/path",
        "mqtt://user:hush@broker?x=1",
        "mqtt://:hush@broker",
        "mqtt://[::1",
    ],
)
def test_another_address_is_refused_in_one_line_that_names_the_setting_and_no_secret(url: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings(mqtt_broker_url=url)
    assert str(caught.value).startswith("PETSTORE_MQTT_BROKER_URL: ")
    assert "hush" not in str(caught.value)


def test_settings_do_not_show_the_password() -> None:
    assert "hush" not in repr(load_settings(mqtt_broker_url="mqtt://user:hush@broker"))
