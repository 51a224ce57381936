"""Figures in Prometheus' text format."""

from collections import Counter

from gateway.observability.metrics import Metrics


def test_mappings_are_gauges_or_counters_as_they_are_at_the_scrape() -> None:
    metrics, swept = Metrics(), Counter[str]()
    metrics.count_by("swept", "What was removed.", "what", lambda: swept)
    metrics.observe_by("up", "Whether a part is well.", "part", lambda: {"bus": True})
    swept["images"] += 3
    text = metrics.render().decode()
    assert "# TYPE petstore_swept_total counter" in text
    assert 'petstore_swept_total{what="images"} 3.0' in text
    assert "# TYPE petstore_up gauge" in text
    assert 'petstore_up{part="bus"} 1.0' in text
