"""An export: all that a question selects, as one long answer.

It is read page by page and written piece by piece, as fast as its client takes it; what is in
memory at any time is two pages.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from rollcall.users.v1.queries_pb2 import HistoryEvent, ListEventsResponse
from rollcall_gateway import problems
from rollcall_gateway.export_forms import Form
from rollcall_gateway.history import event

PAGE = 1000  # events; the most that user-management gives at once
PIECE = 50  # events that are encoded in one go: other requests wait that long, 1 ms
TAKEN_SECONDS = 30.0  # within which a client takes a piece
MOST_AT_ONCE = 8

Fetch = Callable[[bytes], Awaitable[ListEventsResponse]]  # the page at a cursor


class Exports:
    """How many are under way: each is worth hundreds of ordinary requests."""

    def __init__(self) -> None:
        self._running = 0

    def __enter__(self) -> None:
        """Raises a Problem (503) where there are too many."""
        if self._running >= MOST_AT_ONCE:
            raise problems.unavailable("Other exports are under way; try again.", "overloaded")
        self._running += 1

    def __exit__(self, *_: object) -> None:
        self._running -= 1


class Export:
    """The answer to one request, as an ASGI application.

    Raises a Problem: before anything is sent, or in the middle, where the connection is to be cut.
    """

    def __init__(self, running: Exports, form: Form, headers: Mapping[str, str], fetch: Fetch):
        self._running = running
        self._form = form
        self._headers = {
            "content-type": form.content_type,
            "content-disposition": f'attachment; filename="{form.file}"',
            **headers,
        }
        self._fetch = fetch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._running:
            page = await self._fetch(b"")
            headers = [(k.encode(), v.encode("latin-1")) for k, v in self._headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body"})
                return
            sending = asyncio.create_task(self._send_from(page, send))
            await _while_connected(sending, receive)

    async def _send_from(self, page: ListEventsResponse, send: Send) -> None:
        await _send(send, self._form.head)
        while page.next_cursor:
            following = asyncio.ensure_future(self._fetch(page.next_cursor))
            try:
                await self._send_page(page, send)
                page = await following
            finally:
                following.cancel()
        await self._send_page(page, send)
        await send({"type": "http.response.body"})

    async def _send_page(self, page: ListEventsResponse, send: Send) -> None:
        for some in _pieces(page.events):
            await _send(send, self._form.encode([event(e, page.topic) for e in some]))
            await asyncio.sleep(0)  # where the client waits for us, send does not


def _pieces(events: Sequence[HistoryEvent]) -> Iterator[Sequence[HistoryEvent]]:
    for start in range(0, len(events), PIECE):
        yield events[start : start + PIECE]


async def _send(send: Send, piece: bytes) -> None:
    try:
        async with asyncio.timeout(TAKEN_SECONDS):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except TimeoutError:
        raise problems.not_taken() from None


async def _while_connected(sending: asyncio.Task[None], receive: Receive) -> None:
    leaving = asyncio.create_task(_disconnected(receive))
    try:
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not sending.done():
            raise ClientDisconnect
        sending.result()
    finally:
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
