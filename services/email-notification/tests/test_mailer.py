"""The mailer against a real SMTP server that accepts, refuses, hangs and hangs up."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.headerregistry import Address
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from support.waiting import eventually

from rollcall_email_notification.mailer import Mailer
from rollcall_email_notification.messages import compose, make_send
from rollcall_email_notification.rendering import Rendered, Renderer
from rollcall_email_notification.settings import Smtp
from rollcall_local import certificates
from rollcall_service.ledger import Delivery
from rollcall_service.sender import Permanent, Transient

FROM = Address("Rollcall", "noreply", "rollcall.example")
RENDERED = Rendered("en", "Hello", "Hello\n", "<p>Hello</p>")
Serve = Callable[..., Any]
SOON = 2.0  # seconds, long before what would end a mail without the limit that is tested
HELD = 20.0  # seconds that a server hangs or drips, unless it is released


def delivery(recipient: str = "ada@example.com") -> Delivery:
    return Delivery(1, "key", "id", "welcome", recipient, {}, 1, 0.0)


def send(smtp: Smtp, recipient: str = "ada@example.com", deadline: float = 10.0) -> None:
    with started(Mailer(smtp, deadline=deadline)) as mailer:
        mailer.send(mail_to(recipient))


def mail_to(recipient: str) -> EmailMessage:
    return compose(delivery(recipient), RENDERED, FROM)


@contextmanager
def started(mailer: Mailer) -> Iterator[Mailer]:
    mailer.start()
    try:
        yield mailer
    finally:
        mailer.stop()


def test_a_mail_arrives(serve: Serve) -> None:
    server = serve()
    send(server.smtp)
    assert server.envelopes == [("noreply@rollcall.example", ["ada@example.com"])]
    (mail,) = server.mails
    assert mail["Subject"] == "Hello"
    assert mail["Message-ID"].startswith("<id.")


@pytest.mark.parametrize("step", ["on_recipient", "on_data"])
def test_a_5xx_is_final_and_a_4xx_is_not(serve: Serve, step: str) -> None:
    server = serve()
    setattr(server, step, lambda _: "550 5.1.1 no such ada@example.com")
    with pytest.raises(Permanent) as refused:
        send(server.smtp)
    assert "550" in refused.value.reason
    assert "ada" not in refused.value.reason
    setattr(server, step, lambda _: "451 4.3.0 later")
    with pytest.raises(Transient, match="451"):
        send(server.smtp)
    setattr(server, step, lambda _: None)
    send(server.smtp)


@pytest.mark.parametrize("code", ["550", "553", "554", "451"])
def test_a_sender_that_is_refused_is_not_the_recipients_fault(serve: Serve, code: str) -> None:
    server = serve()
    server.on_mail = lambda address: f"{code} {address} may not send"
    with pytest.raises(Transient, match=f"^sender refused {code}$"):
        send(server.smtp)


def test_a_mail_that_is_too_large_fails_for_good(serve: Serve) -> None:
    server = serve()
    server.on_mail = lambda _: "552 5.3.4 too large"
    with pytest.raises(Permanent, match=r"^sender refused 552$"):
        send(server.smtp)


@pytest.mark.parametrize("code", ["530", "534", "535", "538"])
@pytest.mark.parametrize("step", ["on_mail", "on_recipient", "on_data"])
def test_a_login_that_is_wanted_is_not_the_recipients_fault(
    serve: Serve, step: str, code: str
) -> None:
    server = serve()
    setattr(server, step, lambda _: f"{code} 5.7.0 authentication required")
    with pytest.raises(Transient, match=code):
        send(server.smtp)


def test_a_connection_lost_after_data_is_tried_again(serve: Serve) -> None:
    server = serve()

    def hang_up(session: Any) -> None:
        session.transport.abort()

    server.on_data = hang_up
    with pytest.raises(Transient, match=r"SMTPServerDisconnected|ConnectionResetError"):
        send(server.smtp)
    assert len(server.mails) == 1  # it may have been accepted: hence the stable Message-ID


def test_nobody_listening_is_store_trouble() -> None:
    with pytest.raises(Transient, match="ConnectionRefusedError"):
        send(Smtp("127.0.0.1", 1))


def test_mails_share_a_connection(serve: Serve) -> None:
    server, sessions = serve(), list[Any]()
    server.on_data = sessions.append
    with started(Mailer(server.smtp)) as mailer:
        for _ in range(3):
            mailer.send(mail_to("ada@example.com"))
    assert len(sessions) == len(server.mails) == 3
    assert len(set(sessions)) == 1


@pytest.mark.parametrize("way", ["starttls", "smtps"])
def test_mails_share_a_connection_that_is_encrypted(serve: Serve, tmp_path: Path, way: str) -> None:
    trusted, ours = _certified(tmp_path)
    server = serve(tls_context=ours) if way == "starttls" else serve(ssl_context=ours)
    smtp = replace(server.smtp, host="localhost", tls=way == "smtps")
    sessions = list[Any]()
    server.on_data = sessions.append
    with started(Mailer(smtp, context=trusted)) as mailer:
        for _ in range(3):
            mailer.send(mail_to("ada@example.com"))
    assert len(sessions) == len(server.mails) == 3
    assert len(set(sessions)) == 1
    assert sessions[0].session.ssl is not None or way == "smtps"


@pytest.mark.parametrize("way", ["starttls", "smtps"])
def test_an_encrypted_server_that_hangs_is_left_at_the_deadline(
    serve: Serve, tmp_path: Path, way: str
) -> None:
    trusted, ours = _certified(tmp_path)
    encryption = {"tls_context": ours} if way == "starttls" else {"ssl_context": ours}
    server = serve(timeout=HELD, **encryption)
    smtp = replace(server.smtp, host="localhost", tls=way == "smtps")
    released = threading.Event()
    server.on_data = lambda _: released.wait(HELD) and None
    with started(Mailer(smtp, context=trusted, deadline=0.5)) as mailer:
        began = time.monotonic()
        try:
            with pytest.raises(Transient):
                mailer.send(mail_to("ada@example.com"))
            assert time.monotonic() - began < SOON
        finally:
            released.set()


def _certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a client trusts, and what a server of the name localhost shows."""
    trusted = ssl.create_default_context(cafile=str(certificates.authority(folder)))
    shown = folder / "server.pem"
    shown.write_text(certificates.server(folder, "localhost"))
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(shown)
    return trusted, ours


def test_a_server_that_wants_one_mail_of_a_connection_gets_one(serve: Serve) -> None:
    server, sessions = serve(), list[Any]()
    server.on_data = sessions.append
    begun = iter([None, "554 too many messages in this session", None])
    server.on_mail = lambda _: next(begun)
    with started(Mailer(server.smtp)) as mailer:
        for _ in range(2):
            mailer.send(mail_to("ada@example.com"))
    assert len(set(sessions)) == len(server.mails) == 2


def test_a_connection_that_the_server_has_closed_is_not_used(serve: Serve) -> None:
    server, sessions = serve(), list[Any]()
    server.on_data = sessions.append
    with started(Mailer(server.smtp)) as mailer:
        mailer.send(mail_to("ada@example.com"))
        (first,) = sessions
        first.loop.call_soon_threadsafe(first.transport.close)
        eventually(lambda: first.transport is None)  # once the connection is lost
        mailer.send(mail_to("bob@example.com"))
    assert len(sessions) == 2


@contextmanager
def speaking(
    talk: Callable[[socket.socket, threading.Event], object], timeout: float
) -> Iterator[Smtp]:
    """A server that does nothing but `talk` on its first connection, until it is released: when
    the test has seen what the client does."""
    released = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                talk(connection, released)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield Smtp("127.0.0.1", listener.getsockname()[1], timeout=timeout)
        finally:
            released.set()
            thread.join(5)


def test_a_server_that_hangs_is_left_in_time() -> None:
    with speaking(lambda _, released: released.wait(HELD), timeout=0.5) as smtp:
        began = time.monotonic()
        with pytest.raises(Transient, match="SMTPServerDisconnected"):
            send(smtp, deadline=HELD)
        assert time.monotonic() - began < SOON


@pytest.mark.parametrize("greets", [True, False])
def test_a_server_that_drips_is_left_at_the_deadline(greets: bool) -> None:
    """Each byte comes in time; the exchange as a whole does not."""

    def drip(connection: socket.socket, released: threading.Event) -> None:
        if greets:
            connection.sendall(b"220 hello\r\n")
            connection.recv(100)
        end = time.monotonic() + HELD
        while time.monotonic() < end and not released.wait(0.05):
            connection.sendall(b"2")

    with speaking(drip, timeout=HELD) as smtp:
        began = time.monotonic()
        with pytest.raises(Transient):
            send(smtp, deadline=0.6)
        assert time.monotonic() - began < SOON


def test_an_address_beyond_ascii_needs_a_server_that_knows_them(serve: Serve) -> None:
    server = serve(enable_SMTPUTF8=False)
    with pytest.raises(Permanent, match="SMTPUTF8"):
        send(server.smtp, "jürgen@example.com")
    server = serve(enable_SMTPUTF8=True)
    send(server.smtp, "jürgen@example.com")
    assert server.envelopes == [("noreply@rollcall.example", ["jürgen@example.com"])]


def test_a_password_is_not_sent_in_the_clear(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only over TLS, unless the server is this machine; here it goes by the name of another."""
    server = serve()
    far = replace(server.smtp, host="mail.example", user="u", password="p")
    monkeypatch.setattr(
        socket, "create_connection", partial(_to, server.smtp, socket.create_connection)
    )
    with pytest.raises(Transient, match="no TLS"):
        send(far)
    assert server.mails == []


def _to(server: Smtp, connect: Callable[..., socket.socket], _: Any, *more: Any) -> socket.socket:
    return connect((server.host, server.port), *more)


def test_a_server_that_takes_no_login_is_not_the_recipients_fault(serve: Serve) -> None:
    server = serve()
    with pytest.raises(Transient, match="no login"):
        send(replace(server.smtp, user="u", password="p"))


def test_a_refused_login_is_not_the_recipients_fault(serve: Serve) -> None:
    server = serve(
        auth_require_tls=False,
        authenticator=lambda *_: AuthResult(success=False, handled=False),
    )
    with pytest.raises(Transient, match="SMTPAuthenticationError 535"):
        send(replace(server.smtp, user="u", password="p"))


def test_what_cannot_be_rendered_fails_for_good(serve: Serve) -> None:
    server = serve()
    function = make_send(Renderer(), Mailer(server.smtp), FROM)
    with pytest.raises(Permanent, match="cannot be rendered: UndefinedError"):
        function(delivery())
