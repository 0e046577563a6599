"""What a message looks like."""

import re
from typing import Any

import pytest

from rollcall_slack_notification.blocks import SENTENCES, render

PAYLOAD: dict[str, Any] = {
    "subject": "Ada Lovelace",
    "role": "",
    "actor": "Grace Hopper",
    "fields": [["E-mail", "ada@example.com"]],
    "at": "2026-05-04T12:30:00+00:00",
    "position": "users/7/6",
    "version": 3,
}


def test_the_whole_message() -> None:
    message = render("user_created", PAYLOAD)
    assert message.text == "Ada Lovelace was created by Grace Hopper"
    assert message.blocks == [
        {
            "type": "section",
            "text": mrkdwn("*Ada Lovelace* was created by *Grace Hopper*"),
        },
        {"type": "section", "fields": [mrkdwn("*E-mail*\nada@example.com")]},
        {
            "type": "context",
            "elements": [mrkdwn("2026-05-04T12:30:00+00:00 · users/7/6 · version 3")],
        },
    ]


def mrkdwn(text: str) -> dict[str, Any]:
    """Of which Slack makes no links."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


@pytest.mark.parametrize("kind", sorted(SENTENCES))
def test_every_kind_renders(kind: str) -> None:
    message = render(kind, PAYLOAD | {"role": "auditor", "version": None, "fields": []})
    assert "Ada Lovelace" in message.text
    assert ("auditor" in message.text) == ("assigned" in kind)
    assert [block["type"] for block in message.blocks] == ["section", "context"]
    assert "version" not in str(message.blocks[-1])


def test_every_kind_that_is_told_has_a_sentence() -> None:
    assert len(SENTENCES) == 8


def test_nothing_is_said_of_an_actor_who_is_not_known() -> None:
    assert render("user_deleted", PAYLOAD | {"actor": ""}).text == "Ada Lovelace was deleted"


def test_no_mention_or_link_can_be_smuggled_in() -> None:
    evil = "<!channel> & {actor} <https://evil.example|here>"
    values = {"subject": evil, "role": evil, "actor": evil, "fields": [[evil, evil]]}
    message = render("role_assigned", PAYLOAD | values)
    assert "<" not in message.text + str(message.blocks)
    assert "&lt;!channel&gt; &amp; {actor}" in message.text


@pytest.mark.parametrize("character", ["&", "<", "x", "é"])
def test_nothing_is_longer_than_slack_takes(character: str) -> None:
    """Nor is an entity cut in two."""
    long = character * 5_000
    values = {"subject": long, "role": long, "actor": long, "fields": [[long, long]]}
    first, second, _ = render("role_assigned", PAYLOAD | values).blocks
    sentence, (field,) = first["text"]["text"], (field["text"] for field in second["fields"])
    assert 2_500 < len(sentence) <= 3_000
    assert 1_900 < len(field) <= 2_000
    for text in (sentence, field):
        assert set(re.sub(r"&(amp|lt);", "", text)) <= set("xé…*\n was granted the role by")


def test_what_fits_is_said_in_full() -> None:
    name = "&" * 180
    fields = [["Name", f"{name} → {name}<"]]
    message = render("user_updated", PAYLOAD | {"subject": name, "fields": fields})
    assert message.text.startswith("&amp;" * 180 + " was changed")
    (field,) = message.blocks[1]["fields"]
    assert field["text"] == "*Name*\n" + "&amp;" * 180 + " → " + "&amp;" * 180 + "&lt;"


def test_a_nameless_subject_is_called_so() -> None:
    assert render("user_deleted", PAYLOAD | {"subject": ""}).text.startswith("(unnamed) was")


@pytest.mark.parametrize("broken", [{}, {"fields": [["only one"]]}])
def test_a_payload_that_lacks_something_is_an_error(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        render("user_created", (PAYLOAD | broken) if broken else {})
