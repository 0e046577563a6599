"""A message to Slack ends in time, however slowly a server drips."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollcall_local import certificates
from rollcall_service.sender import Transient
from rollcall_slack_notification.client import Poster, make_client
from rollcall_slack_notification.settings import Slack

SOON = 2.0  # seconds, long before what would end a call without the deadline
HELD = 20  # seconds that a server hangs or drips, unless it is released
HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


@contextmanager
def speaking(talk: Callable[[socket.socket, threading.Event], object]) -> Iterator[int]:
    """The port of a server that does nothing but `talk`, on each connection, until it is released:
    when the test has seen what the client does."""
    released = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        talk(connection, released)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            released.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
        assert not thread.is_alive()


def drip(connection: socket.socket, released: threading.Event) -> None:
    """Each byte comes in time; the answer as a whole does not."""
    end = time.monotonic() + HELD
    while time.monotonic() < end and not released.wait(0.05):
        connection.sendall(b" ")


def post_in_vain(
    url: str, recipient: str = "#people", deadline: float = 0.6, soon: float = SOON
) -> None:
    began = time.monotonic()
    with pytest.raises(Transient):
        post(url, recipient, deadline)
    assert deadline - 0.1 < time.monotonic() - began < soon


def post(url: str, recipient: str, deadline: float) -> None:
    poster = Poster(make_client(Slack("xoxb-test", url), timeout=HELD), deadline)
    poster.post(recipient, "hi", [], {})


@pytest.mark.parametrize(
    "begins",
    [b"HTTP/1.1 ", HEAD % b"200 OK", HEAD % b"500 Oops"],
    ids=["its head", "an answer", "an error"],
)
def test_a_server_that_drips_is_left_at_the_deadline(begins: bytes) -> None:
    def talk(connection: socket.socket, released: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(begins)
        drip(connection, released)

    with speaking(talk) as port:
        post_in_vain(f"http://127.0.0.1:{port}/api/")


@pytest.mark.parametrize("greets", [True, False])
def test_an_encrypted_server_that_drips_is_left_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, greets: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority(tmp_path)))
    (tmp_path / "shown.pem").write_text(certificates.server(tmp_path, "localhost"))
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(tmp_path / "shown.pem")

    def talk(connection: socket.socket, released: threading.Event) -> None:
        if not greets:
            connection.sendall(b"\x16\x03\x03\x40\x00")  # the first record of TLS is to be long
            drip(connection, released)
        with ours.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(65536)
            encrypted.sendall(HEAD % b"200 OK")
            drip(encrypted, released)

    with speaking(talk) as port:
        post_in_vain(f"https://localhost:{port}/api/")


def test_the_calls_for_a_message_share_one_deadline(slack: Any) -> None:
    """The first takes most of it, and the second would have all of it again."""
    deadline, taken = 3.0, 2.5

    def slowly(body: dict[str, Any]) -> Any:
        threading.Event().wait(taken)
        return 200, {"Content-Type": "application/json"}, b'{"ok": true, "user": {"id": "U"}}'

    slack.answers["users.lookupByEmail"] = slowly
    with holding(slack, "conversations.open"):
        post_in_vain(slack.url, "ada@example.com", deadline, soon=taken + deadline)
        assert slack.posted() == []


def test_what_is_connected_after_the_deadline_is_cut_as_well(slack: Any) -> None:
    with holding(slack, "chat.postMessage"):
        post_in_vain(slack.url, deadline=0.0)


@contextmanager
def holding(slack: Any, method: str) -> Iterator[None]:
    """No call of the method is answered until the test has seen what the client does."""
    released = threading.Event()

    def hold(body: dict[str, Any]) -> Any:
        released.wait(HELD)
        return 200, {"Content-Type": "application/json"}, b'{"ok": true, "channel": {"id": "D"}}'

    slack.answers[method] = hold
    try:
        yield
    finally:
        released.set()
