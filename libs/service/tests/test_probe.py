"""The health check of an image, against a management port."""

import socket

import pytest

from rollcall_service import probe
from rollcall_service.management import ManagementServer


@pytest.mark.parametrize(("healthy", "code"), [(True, 0), (False, 1)])
def test_it_says_what_the_port_says(
    healthy: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ManagementServer(
        "127.0.0.1", 0, healthy=lambda: healthy, ready=lambda: not healthy, status=dict
    )
    server.start()
    try:
        monkeypatch.setenv("MANAGEMENT_PORT", str(server.port))
        assert probe.main([]) == code
        assert probe.main(["/readyz"]) == 1 - code
        assert probe.main(["/nowhere", str(server.port)]) == 1
    finally:
        server.stop()


def test_nobody_answers() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert probe.main(["/healthz", str(closed.getsockname()[1])]) == 1
