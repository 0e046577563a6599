"""Deliveries as an operator sees them: the command asks the services that keep the ledgers."""

import json
from typing import Any

import httpx
from e2e.local_platform import Platform
from e2e.messages import mails_to
from e2e.people import create
from e2e.waiting import eventually


def listed(platform: Platform, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        platform.run("deliveries", "list", "--json", *arguments)
    )
    return found


def test_a_welcome_by_user_and_by_event(api: httpx.Client, platform: Platform) -> None:
    user = create(api, "ada").json()

    def sent() -> bool:
        return [d["state"] for d in listed(platform, "--user", user["id"])] == ["sent"]

    eventually(sent, within=60)
    (welcome,) = listed(platform, "--user", user["id"])
    assert (welcome["service"], welcome["kind"]) == ("email", "welcome")
    assert welcome["recipient"] == user["email"]
    assert len(mails_to(platform, user["email"])) == 1
    assert listed(platform, "--event", welcome["event_id"]) == [welcome]
    assert listed(platform, "--user", user["id"], "--state", "failed") == []
    # What was sent is neither sent again nor cancelled.
    for action in ("retry", "cancel"):
        said = json.loads(platform.run("deliveries", action, "--json", "--user", user["id"]))
        assert said == {"changed": [], "dry_run": False}


def test_to_change_all_has_to_be_said(platform: Platform) -> None:
    said = platform.ask("deliveries", "cancel")
    assert (said.code, said.err) == (
        2,
        "rollcall: say which deliveries to cancel, or --all\n",
    )
    assert platform.run("deliveries", "cancel", "--state", "failed", "--dry-run").startswith("0 ")


def test_what_cannot_be_asked_is_said(platform: Platform) -> None:
    said = platform.ask("deliveries", "list", "--event", "1")
    assert said.code == 1
    assert "email-notification: event_id must be a UUID" in said.err
    assert platform.ask("deliveries", "list", "--since", "yesterday").code == 2
