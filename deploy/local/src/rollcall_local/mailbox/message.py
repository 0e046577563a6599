"""What a raw message says, in the shape of Mailpit's API."""

import re
from collections.abc import Sequence
from email import message_from_bytes
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import default
from email.utils import getaddresses, parsedate_to_datetime
from html import unescape
from typing import Any

# How the standard library's parser fails on what is not mail; the raw message is kept anyhow.
_MALFORMED = (
    AttributeError,
    IndexError,
    KeyError,
    LookupError,
    MessageError,
    TypeError,
    ValueError,
)
_TAGS = re.compile(r"<(style|script|head)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def summary_of(raw: bytes, mail_from: str, recipients: Sequence[str]) -> dict[str, Any]:
    """One entry of the list, without what only the store knows (ID, Created, Read)."""
    message = _parse(raw)
    to, cc = _addresses(message, "To"), _addresses(message, "Cc")
    named = {person["Address"].lower() for person in (*to, *cc)}
    blind = [a for a in recipients if a.lower() not in named]
    sender = _addresses(message, "From") or [{"Name": "", "Address": mail_from}]
    return {
        "MessageID": _text(message, "Message-ID").strip("<> "),
        "From": sender[0],
        "To": to,
        "Cc": cc,
        "Bcc": [{"Name": "", "Address": address} for address in blind],
        "ReplyTo": _addresses(message, "Reply-To"),
        "Subject": _text(message, "Subject"),
        "Size": len(raw),
        "Attachments": len(_attachments(message)),
        "Snippet": snippet_of(raw, 250),
        "Tags": [],
        "Username": "",
    }


def detail_of(raw: bytes) -> dict[str, Any]:
    """What one message shows beyond its summary."""
    message = _parse(raw)
    return {
        "Text": _part(message, "plain"),
        "HTML": _part(message, "html"),
        "Date": _date(message),
        "ReturnPath": _text(message, "Return-Path").strip("<> "),
        "Inline": [],
        "Attachments": _attachments(message),
    }


def headers_of(raw: bytes) -> dict[str, list[str]]:
    message = _parse(raw)
    return {name: _values(message, name) for name in set(message.keys())}


def snippet_of(raw: bytes, length: int) -> str:
    message = _parse(raw)
    text = _part(message, "plain") or unescape(_TAGS.sub(" ", _part(message, "html")))
    return " ".join(text.split())[:length]


def _parse(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message


def _values(message: EmailMessage, name: str) -> list[str]:
    try:
        return [str(value) for value in message.get_all(name, [])]
    except _MALFORMED:
        return []


def _text(message: EmailMessage, name: str) -> str:
    return next(iter(_values(message, name)), "")


def _addresses(message: EmailMessage, name: str) -> list[dict[str, str]]:
    pairs = getaddresses(_values(message, name))
    return [{"Name": shown, "Address": address} for shown, address in pairs if address]


def _part(message: EmailMessage, kind: str) -> str:
    try:
        part = message.get_body((kind,))
        return str(part.get_content()) if part else ""
    except _MALFORMED:
        return ""


def _date(message: EmailMessage) -> str | None:
    try:
        return parsedate_to_datetime(_text(message, "Date")).isoformat()
    except ValueError:
        return None


def _attachments(message: EmailMessage) -> list[dict[str, Any]]:
    try:
        if message.get_content_type() != "multipart/mixed":
            return []
        return [_attachment(part) for part in message.iter_attachments()]
    except _MALFORMED:
        return []


def _attachment(part: EmailMessage) -> dict[str, Any]:
    payload = part.get_payload(decode=True)
    return {
        "FileName": part.get_filename() or "",
        "ContentType": part.get_content_type(),
        "Size": len(payload) if isinstance(payload, bytes) else 0,
    }
