"""The mail server's side of a script."""

import asyncio
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, Envelope, Session
from chaos.accepted import LATE, Answer, Script

_SAID = {
    Answer.FINE: "250 OK",
    Answer.SLOW: "250 OK",
    Answer.LATER: "451 not now",
    Answer.NEVER: "554 never",
}


class Handler:
    def __init__(self, script: Script):
        self._script = script

    async def handle_DATA(  # noqa: N802  (aiosmtpd names it)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        answer = self._script.meet(str(message["Message-ID"]).strip("<> "))
        if answer is Answer.SLOW:
            await asyncio.sleep(LATE)
        if said := _SAID.get(answer):
            return said
        if answer is Answer.DISCONNECTS:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        # Until the connection is lost, which cancels this.
        await asyncio.Event().wait()
        raise AssertionError("never")
