"""One platform for all journeys of a variant, where an engine runs (make compose-test)."""

import subprocess
from collections.abc import Iterator

import httpx
import pytest
from compose.composed import Composed
from manifests.compose_file import FILES, command
from model.remote import client

_LINES = "40"  # of each log


@pytest.fixture(scope="session")
def compose() -> list[str]:
    found = command()
    if found is None:
        pytest.skip("needs Compose 2 or newer: neither `docker compose` nor `docker-compose` is it")
    argv = ["docker", "version", "--format", "{{.Server.Version}}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        pytest.skip(f"needs a container engine: {done.stderr.strip()}")
    return found


@pytest.fixture(scope="module")
def platform(compose: list[str], request: pytest.FixtureRequest) -> Iterator[Composed]:
    platform = Composed(compose, FILES[request.module.VARIANT])
    failed = request.session.testsfailed
    try:
        platform.up()
        yield platform
    except BaseException:
        failed = -1
        raise
    finally:
        if request.session.testsfailed != failed:
            _show(platform)
        platform.down()


def _show(platform: Composed) -> None:
    """Of a platform on which something failed, pytest shows what it did."""
    for arguments in (("ps", "--all"), ("logs", "--no-color", "--tail", _LINES)):
        print(platform.ask(*arguments).out)  # noqa: T201


@pytest.fixture(scope="module")
def token(platform: Composed) -> str:
    """The first user's."""
    return platform.rollcall("token").strip()


@pytest.fixture
def api(platform: Composed, token: str) -> Iterator[httpx.Client]:
    with client(platform.url, token) as opened:
        yield opened
