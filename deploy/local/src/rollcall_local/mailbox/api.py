"""The part of Mailpit's HTTP API that shows messages, and a page to read them."""

from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rollcall_local.mailbox.message import detail_of, headers_of
from rollcall_local.mailbox.store import Store
from rollcall_local.web import PAGE_HEADERS, number


def application(store: Store) -> Starlette:
    page = (files("rollcall_local.mailbox") / "page.html").read_text()

    async def index(request: Request) -> Response:
        return HTMLResponse(page, headers=PAGE_HEADERS)

    async def messages(request: Request) -> Response:
        return _listing(store, request, query="")

    async def search(request: Request) -> Response:
        return _listing(store, request, query=request.query_params.get("query", ""))

    async def clear(request: Request) -> Response:
        store.clear()
        return PlainTextResponse("ok")

    async def message(request: Request) -> Response:
        found = store.open(request.path_params["id"])
        if found is None:
            return PlainTextResponse("Message not found", 404)
        summary, raw = found
        return JSONResponse(summary | detail_of(raw))

    async def headers(request: Request) -> Response:
        found = store.open(request.path_params["id"])
        return JSONResponse(headers_of(found[1]), 200) if found else JSONResponse({}, 404)

    async def raw(request: Request) -> Response:
        found = store.open(request.path_params["id"])
        return PlainTextResponse(found[1] if found else b"", 200 if found else 404)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/api/v1/messages", messages, methods=["GET"]),
            Route("/api/v1/messages", clear, methods=["DELETE"]),
            Route("/api/v1/search", search),
            Route("/api/v1/message/{id}", message),
            Route("/api/v1/message/{id}/headers", headers),
            Route("/api/v1/message/{id}/raw", raw),
        ]
    )


def _listing(store: Store, request: Request, *, query: str) -> Response:
    start = number(request, "start", 0, 10**9)
    limit = number(request, "limit", 50, 1_000)
    matching, found = store.page(start, limit, query)
    total, unread = store.totals()
    return JSONResponse(
        {
            "total": total,
            "unread": unread,
            "count": len(found),
            "messages_count": matching,
            "messages_unread": sum(not message["Read"] for message in found) if query else unread,
            "start": start,
            "tags": [],
            "messages": found,
        }
    )
