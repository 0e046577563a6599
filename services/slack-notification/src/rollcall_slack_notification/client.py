"""Posts to Slack through its own client, and classes what Slack answers.

What concerns the message or its recipient is permanent. What concerns Slack, the network or this
installation's token is transient: it may be mended within the hours that the ledger retries.
"""

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

from slack_sdk.errors import SlackApiError, SlackClientError

from rollcall_service.sender import Permanent, Transient
from rollcall_slack_notification.blocks import Block
from rollcall_slack_notification.deadline import BoundedClient, within
from rollcall_slack_notification.settings import Slack

# Slack's own trouble, and what an operator can mend without changing the message; for instance
# account_inactive, which says that the token's user or workspace is gone, not the recipient's. Any
# other `ok: false` is final: users_not_found, user_disabled, channel_not_found, …
TRANSIENT = {
    *("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"),
    *("request_timeout", "team_added_to_org", "org_login_required", "message_limit_exceeded"),
    *("invalid_auth", "not_authed", "token_expired", "token_revoked", "account_inactive"),
    *("missing_scope", "not_allowed_token_type", "access_denied", "accesslimited"),
    *("no_permission", "ekm_access_denied", "team_access_not_granted", "not_in_channel"),
}
CACHE_SIZE, CACHE_SECONDS = 1_000, 3600.0
DEADLINE = 30.0  # seconds


def make_client(settings: Slack, timeout: int = 10) -> BoundedClient:
    """Retries are the ledger's, and the SDK logs bodies, which are personal."""
    silent = logging.getLogger(f"{__name__}.sdk")
    silent.setLevel(logging.CRITICAL + 1)
    return BoundedClient(
        token=settings.token,
        base_url=settings.api_url,
        timeout=timeout,
        retry_handlers=[],
        logger=silent,
    )


class Poster:
    """Posts messages; remembers the conversation with each address for a while.

    deadline: seconds for all the calls for a message, however slowly Slack drips its answers.
    """

    def __init__(self, client: BoundedClient, deadline: float = DEADLINE):
        self._client = client
        self._deadline = deadline
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def post(
        self, recipient: str, text: str, blocks: list[Block], metadata: dict[str, Any]
    ) -> None:
        """Return once Slack has the message. Raises Permanent or Transient.

        recipient: an e-mail address, or a channel's id or name.
        """
        with _classed(), within(self._deadline):
            conversation = self._conversation(recipient) if "@" in recipient else recipient
            try:
                self._client.chat_postMessage(
                    channel=conversation,
                    text=text,
                    blocks=blocks,
                    metadata=metadata,
                    unfurl_links=False,
                    unfurl_media=False,
                )
            except SlackApiError:
                self._forget(recipient)  # what was remembered may be why
                raise

    def _conversation(self, email: str) -> str:
        with self._lock:
            known, until = self._known.get(email, ("", 0.0))
        if time.monotonic() < until:
            return known
        user = self._client.users_lookupByEmail(email=email)["user"]["id"]
        conversation = str(self._client.conversations_open(users=user)["channel"]["id"])
        with self._lock:
            self._known[email] = (conversation, time.monotonic() + CACHE_SECONDS)
            if len(self._known) > CACHE_SIZE:
                self._known.popitem(last=False)
        return conversation

    def _forget(self, email: str) -> None:
        with self._lock:
            self._known.pop(email, None)


@contextmanager
def _classed() -> Iterator[None]:
    try:
        yield
    except SlackApiError as error:
        raise _refusal(error) from None
    except (SlackClientError, HTTPException, OSError) as error:
        raise Transient(type(error).__name__) from None


def _refusal(error: SlackApiError) -> Permanent | Transient:
    response = error.response
    status = int(response.status_code)
    reason = _reason(response.data) or f"HTTP {status}"
    if status == 429 or status >= 500 or reason in TRANSIENT:
        return Transient(reason, _seconds(response.headers.get("Retry-After")))
    return Permanent(reason) if _reason(response.data) else Transient(reason)


def _reason(data: object) -> str:
    """Slack's error code, or nothing: what else a proxy answers is not to be quoted."""
    code = data.get("error") if isinstance(data, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[a-z0-9_]{1,60}", code) else ""


def _seconds(value: object) -> float | None:
    text = str(value)
    return float(text) if text.isdecimal() else None
