"""Serving a Starlette application for a stand-in: quiet, and ended by SIGTERM."""

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request

from rollcall_local.ports import HOST

# Pages show what others sent: nothing but their own script may run or load.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


async def serve(application: Starlette, port: int, host: str = HOST) -> None:
    """Serve until SIGTERM or SIGINT. No access log: addresses are in the queries."""
    configuration = uvicorn.Config(
        application,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    await uvicorn.Server(configuration).serve()


def number(request: Request, name: str, default: int, maximum: int) -> int:
    """A query parameter from 0 to `maximum`; anything else counts as the default."""
    value = request.query_params.get(name, "")
    return min(int(value), maximum) if value.isdecimal() and len(value) < 10 else default
