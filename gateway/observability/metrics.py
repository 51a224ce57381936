"""Metrics in Prometheus' text format."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_Family = GaugeMetricFamily | CounterMetricFamily

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: A cached response takes well under a millisecond, hashing a password a good part of a second.
_BUCKET_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = _Requests()
        ProcessCollector(namespace="petstore", registry=self.registry)
        self.registry.register(self._requests)
        #: See `_Requests.count`; bound here, since it is called for each request.
        self.count = self._requests.count

    def observe(self, prefix: str, look: Callable[[], object]) -> None:
        """Show the numbers of a dataclass, as they are at each scrape, as ``petstore_<prefix>_<field>``.

        They are gauges; those of a dataclass in one of the fields are counters.
        """
        self.registry.register(_Looking(lambda: _figures(f"petstore_{prefix}", look())))

    def observe_by(self, name: str, text: str, label: str, look: Callable[[], Mapping[str, float]]) -> None:
        """Show a mapping, as it is at each scrape, as the gauge ``petstore_<name>{<label>=…}``."""
        self.registry.register(
            _Looking(lambda: _labelled(GaugeMetricFamily, f"petstore_{name}", text, label, look()))
        )

    def count_by(self, name: str, text: str, label: str, look: Callable[[], Mapping[str, float]]) -> None:
        """The same as the counter ``petstore_<name>_total{<label>=…}``."""
        self.registry.register(
            _Looking(lambda: _labelled(CounterMetricFamily, f"petstore_{name}", text, label, look()))
        )

    def render(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(self.registry)


@dataclass(slots=True)
class _Series:
    number: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(_BUCKET_SECONDS) + 1))


class _Requests(Collector):
    """Requests by door, operation and status; the library's own counters would cost each request five times as much."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, str, str, int], _Series] = {}

    def count(self, door: str, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one request that was answered, or one live connection that has ended (``seconds`` is then None)."""
        key = (door, method, route, status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        series.number += 1
        if seconds is not None:
            series.seconds += seconds
            series.buckets[bisect_left(_BUCKET_SECONDS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """A counter by status, and a histogram over all of them."""
        labels = ("door", "operation")
        requests = CounterMetricFamily("petstore_requests", "Requests answered.", labels=(*labels, "status"))
        times: dict[tuple[str, str], _Series] = {}
        for (door, method, route, status), series in self._series.items():
            name = (door, f"{method} {route}" if route else "(none)")
            requests.add_metric((*name, str(status)), series.number)
            total = times.setdefault(name, _Series())
            total.seconds += series.seconds
            total.buckets = [a + b for a, b in zip(total.buckets, series.buckets, strict=True)]
        yield requests
        text = "Time from a request's head to the end of its response."
        histogram = HistogramMetricFamily("petstore_request_seconds", text, labels=labels)
        bounds = [*map(str, _BUCKET_SECONDS), "+Inf"]
        for name, total in times.items():
            sums = list(accumulate(total.buckets))
            if sums[-1]:
                histogram.add_metric(name, list(zip(bounds, sums, strict=True)), total.seconds)
        yield histogram

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering should not collect."""
        return iter(())


class _Looking(Collector):
    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        """The current values."""
        return self._collect()

    def describe(self) -> Iterator[Metric]:
        """Nothing: there may be nothing to collect yet."""
        return iter(())


def _figures(prefix: str, value: Any, family: type[_Family] = GaugeMetricFamily) -> Iterator[Metric]:
    for one in fields(value):
        number = getattr(value, one.name)
        if isinstance(number, (int, float)):
            text = one.name.replace("_", " ").capitalize() + "."
            yield family(f"{prefix}_{one.name}", text, value=float(number))
        elif is_dataclass(number):
            yield from _figures(prefix, number, CounterMetricFamily)


def _labelled(
    kind: type[GaugeMetricFamily | CounterMetricFamily],
    name: str,
    text: str,
    label: str,
    values: Mapping[str, float],
) -> Iterator[Metric]:
    family = kind(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    yield family
