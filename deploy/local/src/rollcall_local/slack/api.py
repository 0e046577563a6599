"""Slack's HTTP face: `/api/<method>`, `GET /messages`, and a page that shows them."""

import json
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from rollcall_local.slack.methods import METHODS, failure
from rollcall_local.slack.store import Store
from rollcall_local.web import PAGE_HEADERS


def application(store: Store) -> Starlette:
    page = (files("rollcall_local.slack") / "page.html").read_text()

    async def index(request: Request) -> Response:
        return HTMLResponse(page, headers=PAGE_HEADERS)

    async def messages(request: Request) -> Response:
        return JSONResponse(store.messages())

    async def method(request: Request) -> Response:
        handler = METHODS.get(request.path_params["method"])
        if handler is None:
            return JSONResponse(failure("unknown_method"))
        arguments = await _arguments(request)
        if arguments is None:
            return JSONResponse(failure("invalid_json"))
        if not _has_token(request, arguments):
            return JSONResponse(failure("not_authed"))
        return JSONResponse(handler(store, arguments))

    return Starlette(
        routes=[
            Route("/", index),
            Route("/messages", messages),
            Route("/api/{method}", method, methods=["GET", "POST"]),
        ]
    )


async def _arguments(request: Request) -> dict[str, Any] | None:
    """Arguments from the query, a form or a JSON body; None when the JSON is not an object."""
    arguments: dict[str, Any] = dict(request.query_params)
    raw = await request.body()
    if "json" not in request.headers.get("content-type", ""):
        return arguments | dict(parse_qsl(raw.decode(errors="replace")))
    try:
        body = json.loads(raw or b"{}")
    except ValueError:
        return None
    return arguments | body if isinstance(body, dict) else None


def _has_token(request: Request, arguments: dict[str, Any]) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return bool(arguments.get("token") or (scheme.lower() == "bearer" and token.strip()))
