"""One platform for all tests here, whose services export their spans to the tests' collector."""

from collections.abc import Iterator

import httpx
import pytest
from e2e.local_platform import Platform
from telemetry.collector import Collector, collecting

_TIMEOUT = 15.0  # seconds; the gateway answers before, whatever is away


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
    try:
        platform.run("up")
        yield platform
    finally:
        platform.run("down")


@pytest.fixture(scope="session")
def api(platform: Platform) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.run('token').strip()}"}
    with httpx.Client(base_url=platform.url, headers=headers, timeout=_TIMEOUT) as client:
        yield client
