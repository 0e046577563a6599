"""Where spans go, which there are, and what a process that exports them does when it stops."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from telemetry.collector import Collector, collecting

from rollcall_local.ports import free_port
from rollcall_service.settings import SettingsError
from rollcall_service.spans import provider
from rollcall_service.tracing import STOP_WITHIN, Tracing

BEGUN = 2_000  # traces, of which one in fifty is between 8 and 80 but once in millions of runs

# A process of its own, because a provider is set once in each.
PROCESS = """
import sys, time
from opentelemetry import trace
from rollcall_service.tracing import Tracing
tracing = Tracing("test", "test-1")
tracing.start()
began = time.monotonic()
for _ in range(int(sys.argv[1])):
    trace.get_tracer("test").start_span("work").end()
worked = time.monotonic() - began
tracing.stop()
print(worked, time.monotonic() - began - worked)
"""


def process(spans: int, **variables: str) -> tuple[float, float]:
    """Seconds that a process worked for so many spans, and that it stopped for."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")} | variables
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(spans)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    worked, stopped = done.stdout.split()
    return float(worked), float(stopped)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def test_what_waits_is_exported_when_the_process_stops(collector: Collector) -> None:
    process(3, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, OTEL_TRACES_SAMPLER="always_on")
    spans = collector.all()
    assert [(s.name, s.service, s.replica) for s in spans] == [("work", "test", "test-1")] * 3


def test_a_service_may_be_called_otherwise(collector: Collector) -> None:
    process(
        1,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector.endpoint,
        OTEL_TRACES_SAMPLER="always_on",
        OTEL_SERVICE_NAME="other",
    )
    assert [span.service for span in collector.all()] == ["other"]


def test_a_collector_that_is_away_costs_nothing_but_the_spans() -> None:
    """More than the queue holds."""
    away = f"http://127.0.0.1:{free_port()}"
    worked, stopped = process(
        10_000, OTEL_EXPORTER_OTLP_ENDPOINT=away, OTEL_TRACES_SAMPLER="always_on"
    )
    assert worked < 10
    assert stopped < STOP_WITHIN + 2


def test_without_a_collector_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    tracing = Tracing("test", "test-1")
    tracing.start()
    assert not trace.get_tracer("test").start_span("work").is_recording()
    tracing.stop()


@contextmanager
def sampled(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Iterator[list[ReadableSpan]]:
    """The spans that come of BEGUN traces, at the end."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    exporter, spans = InMemorySpanExporter(), list[ReadableSpan]()
    made = provider("test", "test-1", exporter, os.environ)
    tracer = made.get_tracer("test")
    for _ in range(BEGUN):
        tracer.start_span("work").end()
    made.force_flush()
    spans += exporter.get_finished_spans()
    yield spans
    made.shutdown()


@pytest.mark.parametrize(
    ("variables", "least", "most"),
    [
        ({}, 8, 80),
        ({"OTEL_TRACES_SAMPLER_ARG": "0.5"}, 800, 1_200),
        ({"OTEL_TRACES_SAMPLER_ARG": "0"}, 0, 0),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, BEGUN, BEGUN),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, 0, 0),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, 800, 1_200),
    ],
    ids=str,
)
def test_one_in_fifty_is_sampled_or_what_is_asked_for(
    variables: dict[str, str], least: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", str(BEGUN))
    with sampled(monkeypatch, **variables) as spans:
        assert least <= len(spans) <= most


@pytest.mark.parametrize("ratio", ["many", "1.5"])
def test_a_wrong_ratio_is_told(ratio: str) -> None:
    variables = {"OTEL_TRACES_SAMPLER_ARG": ratio}
    with pytest.raises(SettingsError, match="OTEL_TRACES_SAMPLER_ARG"):
        provider("test", "test-1", InMemorySpanExporter(), variables)
