"""Handlers fail for the users that the test names, and in the test's own entry point alone."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chaos.replica import UNHANDLED, Unhandled, failing

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Event, Position, Subscription

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)
EVENT = Event(
    id="id",
    type="created",
    key="ada",
    source="/services/test",
    time=NOW,
    message=pb.UserCreatedEvent(user_id="ada"),
    position=Position("users", 0, 0),
    recorded_at=NOW,
)


def test_a_handler_fails_as_long_as_the_users_file_is_there(tmp_path: Path) -> None:
    handled: list[str] = []
    table = {"created": lambda event, transaction: handled.append(event.key)}
    handle = failing(tmp_path, Subscription("g", "s", "users", table)).handlers["created"]
    (tmp_path / "ada").touch()
    with pytest.raises(Unhandled):
        handle(EVENT, None)
    handle(replace(EVENT, key="bob"), None)
    (tmp_path / "ada").unlink()
    handle(EVENT, None)
    assert handled == ["bob", "ada"]


def test_what_is_installed_knows_nothing_of_it() -> None:
    sources = [f for part in ("libs", "services", "deploy") for f in (ROOT / part).rglob("*.py")]
    assert [f.name for f in sources if f'"{UNHANDLED}"' in f.read_text()] == []
