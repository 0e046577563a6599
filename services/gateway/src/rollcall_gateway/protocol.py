"""uvicorn's HTTP/1.1 protocol, with the limits that it does not set itself."""

from asyncio import TimerHandle, Transport

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from rollcall_gateway import problems
from rollcall_gateway.joining import JoiningTransport

MAX_HEAD = 64 * 1024  # bytes of request line and headers, give or take one read
HEAD_SECONDS = 20.0  # for them to arrive


class BoundedHttp(HttpToolsProtocol):
    """Ends connections whose request heads are too long or too slow, and says why as a problem;
    and those on which too much comes that is neither head nor body."""

    _in_head = True
    _unread = 0  # bytes since the request began, or since the last of its body
    _head_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        joining = JoiningTransport(transport, self.loop)
        self._reset = joining.reset
        super().connection_made(joining)  # type: ignore[arg-type]
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._unread > MAX_HEAD:
            self._too_much()
        elif self._in_head and self._head_timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        self._in_head = True
        self._unread = 0
        super().on_message_begin()
        self.scope["state"]["reset"] = self._reset  # an answer that has begun may have to end so

    def on_header(self, name: bytes, value: bytes) -> None:
        """Not those behind the body: who looked at the request's headers has not seen them."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_arrived()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        self._refuse(problems.malformed("This is not a valid HTTP/1.1 request."))

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_arrived(self) -> None:
        self._in_head = False
        self._unread = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_much(self) -> None:
        if self._in_head:
            self._refuse(problems.head_too_large(MAX_HEAD))
        else:  # of chunks' sizes or trailers; its answer may be on its way
            self._reset()

    def _refuse(self, problem: problems.Problem) -> None:
        self.transport.write(_raw(problem.response()))
        self.transport.close()


def _raw(response: Response) -> bytes:
    headers = [*response.raw_headers, (b"connection", b"close")]
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return STATUS_LINE[response.status_code] + lines + b"\r\n" + bytes(response.body)
