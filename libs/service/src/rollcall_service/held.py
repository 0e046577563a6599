"""What a replica's consumer holds and how far it is behind, for /metrics."""

from collections.abc import Callable, Iterable

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rollcall_service.status import Held

_FIGURES: dict[str, tuple[str, Callable[[Held], float]]] = {
    "rollcall_consumer_running": (
        "Whether the group's consumer runs: 0 while it starts, waits or has stopped.",
        lambda held: held.state == "running",
    ),
    "rollcall_consumer_stopped": (
        "Whether it has stopped until it is mended; `rollcall status` says why.",
        lambda held: held.state.startswith("stopped"),
    ),
    "rollcall_consumer_partitions": (
        "Partitions that this replica holds.",
        lambda held: len(held.partitions),
    ),
    "rollcall_consumer_lag_records": (
        "Records of these partitions that the group has not applied.",
        lambda held: held.lag_records,
    ),
    "rollcall_consumer_lag_seconds": (
        "How long the one of them that is furthest behind has been so.",
        lambda held: held.lag_seconds,
    ),
}


class HeldGauges(Collector):
    """Component: gauges of the group, told by the consumer itself when they are asked for."""

    def __init__(self, group: str, status: Callable[[], Held]):
        self._group = group
        self._status = status

    def start(self) -> None:
        REGISTRY.register(self)

    def stop(self) -> None:
        REGISTRY.unregister(self)

    def describe(self) -> Iterable[Metric]:
        return [_gauge(name, text) for name, (text, _) in _FIGURES.items()]

    def collect(self) -> Iterable[Metric]:
        held = self._status()
        for name, (text, figure) in _FIGURES.items():
            gauge = _gauge(name, text)
            gauge.add_metric([self._group], figure(held))
            yield gauge


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=["group"])
