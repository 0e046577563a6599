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

HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


@contextmanager
def speaking(talk: Callable[[socket.socket], object]) -> Iterator[int]:
    """The port of a server that does nothing but `talk`, on each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        assert not thread.is_alive()


def drip(connection: socket.socket) -> None:
    """Each byte comes in time; the answer as a whole does not."""
    for _ in range(100):
        connection.sendall(b" ")
        threading.Event().wait(0.05)


def post_in_vain(url: str, recipient: str = "#people") -> None:
    began = time.monotonic()
    with pytest.raises(Transient):
        post(url, recipient, deadline=0.6)
    assert 0.5 < time.monotonic() - began < 2


def post(url: str, recipient: str, deadline: float) -> None:
    poster = Poster(make_client(Slack("xoxb-test", url)), deadline)
    poster.post(recipient, "hi", [], {})


@pytest.mark.parametrize(
    "begins",
    [b"HTTP/1.1 ", HEAD % b"200 OK", HEAD % b"500 Oops"],
    ids=["its head", "an answer", "an error"],
)
def test_a_server_that_drips_is_left_at_the_deadline(begins: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(begins)
        drip(connection)

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

    def talk(connection: socket.socket) -> None:
        if not greets:
            connection.sendall(b"\x16\x03\x03\x40\x00")  # the first record of TLS is to be long
            drip(connection)
        with ours.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(65536)
            encrypted.sendall(HEAD % b"200 OK")
            drip(encrypted)

    with speaking(talk) as port:
        post_in_vain(f"https://localhost:{port}/api/")


def test_the_calls_for_a_message_share_one_deadline(slack: Any) -> None:
    def slowly(body: dict[str, Any]) -> Any:
        threading.Event().wait(0.4)
        return 200, {"Content-Type": "application/json"}, b'{"ok": true, "user": {"id": "U"}}'

    slack.answers = dict.fromkeys(["users.lookupByEmail", "conversations.open"], slowly)
    post_in_vain(slack.url, "ada@example.com")
    assert slack.posted() == []


def test_what_is_connected_after_the_deadline_is_cut_as_well(slack: Any) -> None:
    def slowly(body: dict[str, Any]) -> Any:
        threading.Event().wait(0.4)
        return 200, {"Content-Type": "application/json"}, b'{"ok": true}'

    slack.answers["chat.postMessage"] = slowly
    with pytest.raises(Transient):
        post(slack.url, "#people", deadline=0.0)
