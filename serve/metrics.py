"""What GET /metrics says, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily

from .service import Service
from .stats import GROUPS


def expose(services: Mapping[str, Service]) -> bytes:
    """The metrics of all tenants together; a tenant's name is nobody else's business."""
    registry = CollectorRegistry()
    registry.register(_Collector(list(services.values())))
    return generate_latest(registry)


class _Collector:
    def __init__(self, services: list[Service]) -> None:
        self._described = [service.describe() for service in services]

    def collect(self) -> Iterable[Metric]:
        requests = CounterMetricFamily("dtl_requests", "Answered requests.", labels=["group"])
        feedback = CounterMetricFamily("dtl_feedback", "Requests with feedback.", labels=["group", "reward"])
        for group in GROUPS:
            tallies = [each["groups"][group] for each in self._described]
            right = sum(tally["right"] for tally in tallies)
            requests.add_metric([group], sum(tally["requests"] for tally in tallies))
            feedback.add_metric([group, "1"], right)
            feedback.add_metric([group, "0"], sum(tally["feedback"] for tally in tallies) - right)
        yield requests
        yield feedback
        yield from self._gauges()
        for name, what in (("ranking", "choosing the cases"), ("request", "a whole request")):
            count, total = (sum(each["seconds"][name][part] for each in self._described) for part in ("count", "sum"))
            yield SummaryMetricFamily(f"dtl_{name}_seconds", f"Time of {what}.", count_value=count, sum_value=total)

    def _gauges(self) -> Iterator[Metric]:
        for name, what, key in (
            ("dtl_cases", "Cases in the banks.", "cases"),
            ("dtl_events", "Feedback and removals on disk.", "events"),
            ("dtl_events_learned", "Those of them that were learned.", "learned"),
        ):
            yield GaugeMetricFamily(name, what, sum(each[key] for each in self._described))
        yield GaugeMetricFamily("dtl_tenants", "Tenants.", len(self._described))
