"""From a kind of message and its payload to Block Kit and the text for notifications."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

Block = dict[str, Any]

# kind → what is said of the subject; " by …" follows where the actor is known.
SENTENCES: Mapping[str, str] = {
    "user_created": "*{subject}* was created",
    "user_updated": "*{subject}* was changed",
    "user_deleted": "*{subject}* was deleted",
    "role_assigned": "*{subject}* was granted the role {role}",
    "role_unassigned": "*{subject}* lost the role {role}",
    "role_created": "The role *{subject}* was created",
    "role_updated": "The role *{subject}* was changed",
    "role_deleted": "The role *{subject}* was deleted",
}

# Slack refuses a message with more characters in a field of a section, or in its text, of which a
# sentence holds three names at most.
_MOST_OF_FIELD, _MOST_OF_TEXT = 2_000, 3_000
_MOST_OF_LABEL, _MOST_OF_NAME = 100, 900

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


@dataclass(frozen=True)
class Rendered:
    text: str
    blocks: list[Block]


def render(kind: str, payload: Mapping[str, Any]) -> Rendered:
    """Raises KeyError: no such kind, or the payload lacks what it needs."""
    template = SENTENCES[kind] + (" by *{actor}*" if payload["actor"] else "")
    fields = [_mrkdwn(_field(label, value)) for label, value in payload["fields"][:10]]
    blocks: list[Block] = [{"type": "section", "text": _mrkdwn(_said(template, payload))}]
    if fields:
        blocks.append({"type": "section", "fields": fields})
    blocks.append({"type": "context", "elements": [_mrkdwn(_footer(payload))]})
    return Rendered(text=_said(template.replace("*", ""), payload), blocks=blocks)


def escape(value: str, most: int = _MOST_OF_TEXT) -> str:
    """The three characters that mean something to Slack: no mention or link can be smuggled in. Cut
    to `most` characters, an entity as a whole."""
    parts = [_ENTITIES.get(character, character) for character in value]
    ends = list(accumulate(map(len, parts)))
    if not ends or ends[-1] <= most:
        return "".join(parts)
    return "".join(parts[: bisect_right(ends, most - 1)]) + "…"


def _said(template: str, payload: Mapping[str, Any]) -> str:
    words = {name: escape(payload[name], _MOST_OF_NAME) for name in ("subject", "role", "actor")}
    return template.format_map(words | {"subject": words["subject"] or "(unnamed)"})


def _field(label: str, value: str) -> str:
    head = f"*{escape(label, _MOST_OF_LABEL)}*\n"
    return head + escape(value, _MOST_OF_FIELD - len(head))


def _footer(payload: Mapping[str, Any]) -> str:
    version = payload["version"]
    parts = [payload["at"], payload["position"], *([f"version {version}"] if version else [])]
    return escape(" · ".join(parts))


def _mrkdwn(text: str) -> Block:
    """Verbatim, or Slack makes links of what looks like an address, a channel or a mention."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}
