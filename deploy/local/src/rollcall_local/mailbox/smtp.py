"""Mail arrives by SMTP and is stored before it is acknowledged."""

import asyncio

from aiosmtpd.smtp import SMTP, Envelope, Session

from rollcall_local.mailbox.store import Store

_LARGEST = 32 * 1024 * 1024  # bytes of one message


class _Handler:
    def __init__(self, store: Store):
        self._store = store

    async def handle_DATA(  # noqa: N802  (aiosmtpd names it)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        raw = envelope.original_content or b""
        self._store.add(raw, envelope.mail_from or "", envelope.rcpt_tos)
        return "250 OK"


def session(store: Store, loop: asyncio.AbstractEventLoop) -> SMTP:
    """The protocol of one connection."""
    return SMTP(
        _Handler(store),
        data_size_limit=_LARGEST,
        enable_SMTPUTF8=True,
        ident="Rollcall mailbox",
        timeout=60,
        loop=loop,
    )
