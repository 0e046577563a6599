"""The log as `rollcall events tail` shows it, while it goes by and afterwards."""

import json
import subprocess
import sys
import threading
from typing import Any

import httpx
from e2e.kafka_log import partition_of
from e2e.local_platform import Platform
from e2e.outside import publish_plainly
from e2e.people import create
from e2e.waiting import eventually


def seen(platform: Platform, *arguments: str) -> list[dict[str, Any]]:
    lines = platform.run("events", "tail", "--json", "--no-follow", *arguments).splitlines()
    return [json.loads(line) for line in lines]


def test_what_happened_to_a_user(api: httpx.Client, platform: Platform) -> None:
    user = create(api, "ada").json()
    api.patch(f"/v1/users/{user['id']}", json={"name": "Countess"})
    events = seen(platform, "--since", "1h", "--user", user["id"])
    types = ["rollcall.users.v1.UserCreatedEvent", "rollcall.users.v1.UserUpdatedEvent"]
    assert [e["type"] for e in events] == types
    assert [e["sequence"] for e in events] == [1, 2]
    assert events[0]["data"]["person"]["email"] == user["email"]
    assert events[0]["subject"] == f"users/{user['id']}"
    assert events[1]["data"]["person"] == {"name": "Countess"}
    mine = ("--since", "1h", "--user", user["id"], "--actor", events[0]["actor"])
    assert [e["type"] for e in seen(platform, *mine, "--type", "UserUpdatedEvent")] == types[1:]
    assert seen(platform, *mine[:4], "--actor", "services/nobody") == []
    line = platform.run("events", "tail", "--no-follow", *mine).splitlines()[0]
    assert f"UserCreatedEvent            users/{user['id']} v1" in line


def test_what_is_no_event_says_why(broker: str, platform: Platform) -> None:
    place = partition_of(broker, "0")
    record = {"key": "0", "value": "00", "headers": {}, "partition": place}
    publish_plainly(broker, record)
    said = [e["unreadable"] for e in seen(platform, "--since", "5m") if e["unreadable"]]
    assert "the key is not a UUID" in said


def test_it_goes_by_as_it_happens(api: httpx.Client, platform: Platform) -> None:
    command = [sys.executable, "-m", "rollcall_cli", "events", "tail", "--json"]
    lines: list[str] = []
    with subprocess.Popen(
        command, env=platform.variables, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
        reader.start()

        def shown() -> bool:
            """Until it has found the log's end, what is made goes by unseen."""
            create(api, "passer-by")
            return len(lines) > 2

        try:
            eventually(shown, within=30)
        finally:
            process.terminate()
    assert json.loads(lines[0])["type"] == "rollcall.users.v1.UserCreatedEvent"
