"""A node for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.protocols.mqtt.node import MqttNode, mqtt_node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[MqttNode]:
    """A node that keeps everything in memory."""
    async with mqtt_node(tmp_path) as running:
        yield running
