"""One platform for the whole run, started and stopped as its users do."""

from collections.abc import Generator, Iterator

import httpx
import pytest
from e2e.local_platform import Platform
from model.remote import client

_LINES = "60"  # of each log
_ALL = "100000"
_GRAVE = ('"level": "ERROR"', '"level": "CRITICAL"')


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows what its platform was doing."""
    report = yield
    platform = item.funcargs.get("platform")
    if report.failed and isinstance(platform, Platform):
        for arguments in (("status",), ("parked", "list"), ("logs", "--lines", _LINES)):
            said = platform.ask(*arguments)
            report.sections.append((f"rollcall {' '.join(arguments)}", said.out + said.err))
        lines = platform.ask("logs", "--lines", _ALL).out.splitlines()
        grave = [line for line in lines if any(level in line for level in _GRAVE)]
        report.sections.append(("errors in its logs", "\n".join(grave)))
    return report


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with Platform(tmp_path_factory.mktemp("platform") / "state").running() as platform:
        yield platform


@pytest.fixture(scope="session")
def broker(platform: Platform) -> str:
    """Its bootstrap servers."""
    return str(platform.status()["broker"]["bootstrap_servers"])


@pytest.fixture(scope="session")
def token(platform: Platform) -> str:
    """The first user's."""
    return platform.run("token").strip()


@pytest.fixture
def api(platform: Platform, token: str) -> Iterator[httpx.Client]:
    with client(platform.url, token) as opened:
        yield opened


@pytest.fixture
def kafka(platform: Platform) -> None:
    """For tests of what the embedded broker does not do: keep its log, stamp its records."""
    if platform.status()["broker"]["kind"] != "kafka":
        pytest.skip("needs Apache Kafka: the embedded broker keeps no log and stamps no record")
