"""Slack's side of a script: the stand-in of the local platform, with answers of its own."""

import asyncio
import json
from typing import Any

from chaos.accepted import LATE, Answer, Script
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

_RETRY_AFTER = "1"  # second


def identity(event_key: str, event_id: str, kind: str, recipient: str) -> str:
    """Of a message: what it is about, and to whom."""
    return "/".join((event_key, event_id, kind, recipient))


def application(script: Script) -> Starlette:
    async def post_message(request: Request) -> Response:
        arguments: dict[str, Any] = json.loads(await request.body())
        answer = script.meet(_identity(arguments))
        if answer is Answer.SLOW:
            await asyncio.sleep(LATE)
        if answer is Answer.LATER:
            headers = {"Retry-After": _RETRY_AFTER}
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers)
        if answer is Answer.BROKEN:
            return PlainTextResponse("broken", 500)
        return JSONResponse({"ok": True, "channel": arguments["channel"], "ts": "1"})

    return Starlette(routes=[Route("/api/chat.postMessage", post_message, methods=["POST"])])


def _identity(arguments: dict[str, Any]) -> str:
    metadata = arguments["metadata"]
    if isinstance(metadata, str):
        metadata = json.loads(metadata)
    about, kind = metadata["event_payload"], metadata["event_type"].removeprefix("rollcall_")
    return identity(about["key"], about["event_id"], kind, arguments["channel"])
