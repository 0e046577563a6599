"""One platform for all tests here, whose services export their spans to the tests' collector."""

from collections.abc import Iterator

import httpx
import pytest
from e2e.local_platform import Platform
from model.remote import client
from telemetry.collector import Collector, collecting


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("platform") / "state")
    platform.variables |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",  # milliseconds
        "OTEL_TRACES_SAMPLER_ARG": "0",  # what is not asked for is not sampled
    }
    with platform.running():
        yield platform


@pytest.fixture(scope="session")
def api(platform: Platform) -> Iterator[httpx.Client]:
    with client(platform.url, platform.run("token").strip()) as opened:
        yield opened
