"""A mail server and a Slack that answer as they are told to, and know what they accepted.

They run in a thread of the test's own: what they have heard is what the test knows.
"""

import asyncio
import threading
from types import TracebackType

import uvicorn
from aiosmtpd.smtp import SMTP
from chaos.accepted import Accepted, Script
from chaos.mail import Handler
from chaos.slack import application
from e2e.waiting import eventually

from rollcall_local.ports import HOST, is_listening

_UP_WITHIN = 10.0  # seconds


class Providers:
    """`with Providers(…):` both listen.

    mail, slack: how each answers from now on, and the messages that it took in, in order.
    """

    def __init__(self, smtp_port: int, slack_port: int):
        self.mail, self.slack = Script(), Script()
        self._ports = (smtp_port, slack_port)
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="providers", daemon=True)

    def __enter__(self) -> "Providers":
        self._thread.start()
        eventually(lambda: all(map(is_listening, self._ports)), within=_UP_WITHIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(_UP_WITHIN)

    def accepted(self) -> list[Accepted]:
        return [*self.mail.accepted, *self.slack.accepted]

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        smtp_port, slack_port = self._ports
        handler = Handler(self.mail)
        mail = await self._loop.create_server(
            lambda: SMTP(handler, enable_SMTPUTF8=True, loop=self._loop), HOST, smtp_port
        )
        slack = uvicorn.Server(
            uvicorn.Config(
                application(self.slack),
                host=HOST,
                port=slack_port,
                access_log=False,
                log_level="warning",
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )
        async with mail:
            serving = self._loop.create_task(slack.serve())
            await self._ended.wait()
            slack.should_exit = True
            await serving
