"""Finding the services by their names, with a resolver that knows some."""

import socket
from pathlib import Path
from typing import Any

import pytest

from rollcall_local import client
from rollcall_local.client import NotRunning
from rollcall_local.home import Home

NAMES = {"user-management": ["10.0.0.7", "10.0.0.5", "10.0.0.5"], "gateway": ["10.0.0.9"]}


@pytest.fixture(autouse=True)
def asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROLLCALL_DISCOVERY", "dns")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")


def resolver(names: dict[str, list[str]]) -> Any:
    def getaddrinfo(name: str, port: int, *_: Any) -> list[Any]:
        if name not in names:
            raise socket.gaierror(socket.EAI_NONAME)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in names[name]]

    return getaddrinfo


def test_every_address_of_a_name_is_a_replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver(NAMES))
    found = client.status(Home(tmp_path))
    assert found["gateway"] == "http://gateway:8080"
    assert found["broker"] == {"kind": "kafka", "bootstrap_servers": "kafka:9092"}
    replicas = {service["name"]: service["replicas"] for service in found["services"]}
    assert [r["grpc"] for r in replicas["user-management"]] == ["10.0.0.5:50051", "10.0.0.7:50051"]
    assert replicas["user-management"][0]["management"] == "http://10.0.0.5:8081"
    assert replicas["gateway"][0]["grpc"] is None
    assert replicas["email-notification"] == []


def test_where_no_name_is_known_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver({}))
    with pytest.raises(NotRunning, match="no service of the platform has an address here"):
        client.status(Home(tmp_path))
