"""A real Postgres for the tests of what lives in it."""

from collections.abc import Iterator

import pytest

from rollcall_local import ports
from rollcall_local.postgres import Server, running


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("postgres")
    with running(directory, ports.free_port(), {"fsync": "off"}) as server:
        yield server
