"""What is served beside the API: health, metrics, the OpenAPI document and its page."""

from importlib import resources

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from rollcall_gateway import problems
from rollcall_gateway.call import Call
from rollcall_gateway.gateway import Gateway

# Nothing but the page's own files, and no framing.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES = {
    "docs.html": "text/html",
    "docs.css": "text/css",
    "docs.js": "text/javascript",
}


async def healthz(gateway: Gateway, call: Call) -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


async def readyz(gateway: Gateway, call: Call) -> Response:
    if not await gateway.readiness.ready():
        raise problems.unavailable("User management can't be reached or is not ready.")
    return Response(b'{"status":"ready"}', media_type="application/json")


async def metrics(gateway: Gateway, call: Call) -> Response:
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def openapi(gateway: Gateway, call: Call) -> Response:
    return Response(gateway.document, media_type="application/json")


async def docs(gateway: Gateway, call: Call) -> Response:
    return _file("docs.html")


async def docs_file(gateway: Gateway, call: Call) -> Response:
    return _file(call.path["file"])


def _file(name: str) -> Response:
    if name not in _FILES:
        raise problems.unknown_route()
    content = resources.files("rollcall_gateway").joinpath("static", name).read_bytes()
    headers = {"Content-Security-Policy": _PAGE_POLICY, "Referrer-Policy": "no-referrer"}
    return Response(content, headers=headers, media_type=_FILES[name])
