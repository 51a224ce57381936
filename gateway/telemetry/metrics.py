"""Metrics in Prometheus' text format."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_Family = GaugeMetricFamily | CounterMetricFamily

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Seconds. What the cache answers takes well under a millisecond, a password's hash a good part of a second.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The figures of one process, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(namespace="petstore", registry=self.registry)
        names = ("door", "operation")
        self._requests = Counter(
            "petstore_requests", "Requests answered.", (*names, "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "petstore_request_seconds",
            "Time from a request's head to the end of its answer.",
            names,
            buckets=_BUCKETS,
            registry=self.registry,
        )
        # Looking a labelled child up costs more than counting with it.
        self._children: dict[
            tuple[str, str, str, int], tuple[Callable[[], None], Callable[[float], None]]
        ] = {}

    def count(self, door: str, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one request that was answered, or one live connection that has ended: it has no time of interest."""
        key = (door, method, route, status)
        child = self._children.get(key)
        if child is None:
            operation = f"{method} {route}" if route else "(none)"
            counter = self._requests.labels(door, operation, str(status))
            child = self._children[key] = (counter.inc, self._seconds.labels(door, operation).observe)
        child[0]()
        if seconds is not None:
            child[1](seconds)

    def observe(self, prefix: str, look: Callable[[], object]) -> None:
        """Show the numbers of a frozen dataclass, as they are at each scrape, as ``petstore_<prefix>_<field>``."""
        self.registry.register(_Figures(f"petstore_{prefix}", look))

    def observe_by(self, name: str, text: str, label: str, look: Callable[[], Mapping[str, float]]) -> None:
        """Show a mapping, as it is at each scrape, as the gauge ``petstore_<name>{<label>=…}``."""
        self.registry.register(_Mapping(f"petstore_{name}", text, label, look))

    def render(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)


class _Figures(Collector):
    def __init__(self, prefix: str, look: Callable[[], object]) -> None:
        self._prefix = prefix
        self._look = look

    def collect(self) -> Iterator[Metric]:
        """One gauge for each number, and one counter for each in a dataclass within."""
        for family, name, value in _numbers(self._look()):
            text = name.replace("_", " ").capitalize() + "."
            yield family(f"{self._prefix}_{name}", text, value=float(value))

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are known when there is something to look at."""
        return ()


class _Mapping(Collector):
    def __init__(self, name: str, text: str, label: str, look: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._text, self._label, self._look = name, text, label, look

    def collect(self) -> Iterator[Metric]:
        """One gauge with a sample for each entry."""
        family = GaugeMetricFamily(self._name, self._text, labels=(self._label,))
        for key, value in self._look().items():
            family.add_metric((key,), value)
        yield family


def _numbers(
    value: Any, family: type[_Family] = GaugeMetricFamily
) -> Iterator[tuple[type[_Family], str, float]]:
    for field in fields(value):
        number = getattr(value, field.name)
        if isinstance(number, (int, float)):
            yield family, field.name, number
        elif is_dataclass(number):
            yield from _numbers(number, CounterMetricFamily)
