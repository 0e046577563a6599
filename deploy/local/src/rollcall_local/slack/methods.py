"""The Slack Web API's methods that a notifying bot calls: arguments in, answer out.

An error is an answer too, `{"ok": false, "error": …}`, as with Slack.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from rollcall_local.slack.store import Store

Arguments = Mapping[str, Any]
Answer = dict[str, Any]

_TEAM, _BOT, _BOT_USER = "T0ROLLCALL", "B0ROLLCALL", "U0ROLLCALL"
_LONGEST_TEXT, _MOST_BLOCKS = 40_000, 50  # Slack's limits


def auth_test(store: Store, arguments: Arguments) -> Answer:
    return {
        "ok": True,
        "url": "http://127.0.0.1/",
        "team": "Rollcall",
        "team_id": _TEAM,
        "user": "rollcall",
        "user_id": _BOT_USER,
        "bot_id": _BOT,
    }


def users_lookup_by_email(store: Store, arguments: Arguments) -> Answer:
    """Everybody has an account here, but whose address contains `noslack`."""
    email = str(arguments.get("email", ""))
    if "@" not in email or "noslack" in email.lower():
        return failure("users_not_found")
    identity = store.person(email)
    profile = {"email": store.email(identity)}
    user = {"id": identity, "team_id": _TEAM, "name": identity.lower(), "profile": profile}
    return {"ok": True, "user": user}


def conversations_open(store: Store, arguments: Arguments) -> Answer:
    people = [name for name in _list(arguments.get("users")) if name]
    if not people:
        return failure("no_users_provided" if "users" in arguments else "invalid_arguments")
    if len(people) > 1:
        return failure("method_not_supported_for_channel_type")  # no group conversations here
    if store.email(people[0]) is None:
        return failure("user_not_found")
    return {"ok": True, "no_op": True, "channel": {"id": _conversation(people[0])}}


def chat_post_message(store: Store, arguments: Arguments) -> Answer:
    channel, text = str(arguments.get("channel", "")), str(arguments.get("text") or "")
    blocks = _list(arguments.get("blocks"))
    if not text and not blocks:
        return failure("no_text")
    if len(text) > _LONGEST_TEXT:
        return failure("msg_too_long")
    if len(blocks) > _MOST_BLOCKS:
        return failure("invalid_blocks")
    person = "U" + channel[1:] if channel[:1] in ("U", "D") else None
    if not channel or (person and store.email(person) is None):
        return failure("channel_not_found")
    where = _conversation(person) if person else channel
    ts = store.add(where, person, text, blocks)
    message = {"type": "message", "text": text, "blocks": blocks, "ts": ts, "bot_id": _BOT}
    return {"ok": True, "channel": where, "ts": ts, "message": message}


METHODS: dict[str, Callable[[Store, Arguments], Answer]] = {
    "auth.test": auth_test,
    "users.lookupByEmail": users_lookup_by_email,
    "conversations.open": conversations_open,
    "chat.postMessage": chat_post_message,
}


def failure(error: str) -> Answer:
    return {"ok": False, "error": error}


def _conversation(person: str) -> str:
    """The direct conversation with a user: the same id with a D in front."""
    return "D" + person[1:]


def _list(value: Any) -> list[Any]:
    """A list as given in JSON, in a form field as JSON, or separated by commas."""
    if isinstance(value, str) and not value.startswith("["):
        return value.split(",")
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return []
    return parsed if isinstance(parsed, list) else []
