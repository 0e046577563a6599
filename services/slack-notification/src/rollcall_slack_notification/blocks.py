"""From a kind of message and its payload to Block Kit and the text for notifications."""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Rendered:
    text: str
    blocks: list[Block]


def render(kind: str, payload: Mapping[str, Any]) -> Rendered:
    """Raises KeyError: no such kind, or the payload lacks what it needs."""
    template = SENTENCES[kind] + (" by *{actor}*" if payload["actor"] else "")
    fields = [
        _mrkdwn(f"*{escape(label)}*\n{escape(value)}") for label, value in payload["fields"][:10]
    ]
    blocks: list[Block] = [{"type": "section", "text": _mrkdwn(_said(template, payload))}]
    if fields:
        blocks.append({"type": "section", "fields": fields})
    blocks.append({"type": "context", "elements": [_mrkdwn(_footer(payload))]})
    return Rendered(text=_said(template.replace("*", ""), payload), blocks=blocks)


def escape(value: str) -> str:
    """The three characters that mean something to Slack: no mention or link can be smuggled in."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _said(template: str, payload: Mapping[str, Any]) -> str:
    words = {name: escape(payload[name]) for name in ("subject", "role", "actor")}
    return template.format_map(words | {"subject": words["subject"] or "(unnamed)"})


def _footer(payload: Mapping[str, Any]) -> str:
    version = payload["version"]
    parts = [payload["at"], payload["position"], *([f"version {version}"] if version else [])]
    return escape(" · ".join(parts))


def _mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text}
