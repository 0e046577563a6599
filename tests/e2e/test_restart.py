"""Starting again, starting twice, and a start that cannot be."""

import json
import socket
from pathlib import Path

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.people import create, seen

from rollcall_local.ports import HOST


@pytest.mark.usefixtures("kafka")
def test_everything_is_there_after_down_and_up(platform: Platform, api: httpx.Client) -> None:
    last = create(api, "ada")
    before = {kind: _listed(api, kind, seen(last)) for kind in ("users", "roles")}
    assert platform.run("down").strip() == "The platform is stopped."
    platform.run("up")
    after = {kind: _listed(api, kind, seen(last)) for kind in ("users", "roles")}
    assert after == before
    assert create(api, "ada").json()["version"] == 1


def test_a_second_up_changes_nothing_and_says_so(platform: Platform) -> None:
    before = platform.processes()
    assert "The platform runs already; nothing was changed." in platform.run("up")
    assert json.loads(platform.run("up", "--json"))["started"] is False
    pids = {name: process["pid"] for name, process in before.items()}
    assert {name: process["pid"] for name, process in platform.processes().items()} == pids


@pytest.mark.parametrize("variable", ["POSTGRES_PORT", "KAFKA_PORT", "GATEWAY_PORT"])
def test_a_taken_port_gives_one_line_that_names_it(tmp_path: Path, variable: str) -> None:
    other = Platform(tmp_path / "state")
    with socket.create_server((HOST, other.ports[variable])):
        said = other.ask("up")
    assert (said.code, said.out) == (1, "")
    (line,) = said.err.splitlines()
    assert str(other.ports[variable]) in line
    assert variable in line


def _listed(api: httpx.Client, kind: str, headers: dict[str, str]) -> list[object]:
    """All users or roles, page by page."""
    found: list[object] = []
    parameters: dict[str, str] = {"page_size": "200"}
    while True:
        answer = api.get(f"/v1/{kind}", params=parameters, headers=headers)
        assert answer.status_code == 200, answer.text
        found += answer.json()[kind]
        if not (page_token := answer.json()["next_page_token"]):
            return found
        parameters["page_token"] = page_token
