"""Which connections to a real SMTP server are lent, kept and closed."""

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.waiting import eventually

from rollcall_email_notification import connections
from rollcall_email_notification.connections import Connections
from rollcall_email_notification.settings import Smtp


@contextmanager
def started(smtp: Smtp, deadline: float = 10.0) -> Iterator[Connections]:
    pool = Connections(smtp, lambda smtp: None, ssl.create_default_context(), deadline)
    pool.start()
    try:
        yield pool
    finally:
        pool.stop()


@pytest.fixture
def pool(serve: Callable[..., Any]) -> Iterator[Connections]:
    with started(serve().smtp) as pool:
        yield pool


def lent(pool: Connections) -> smtplib.SMTP:
    """The one that is lent now."""
    seen: list[smtplib.SMTP] = []
    pool.use(seen.append)
    return seen[-1]


def test_each_is_lent_to_one_at_a_time_and_the_last_one_first(pool: Connections) -> None:
    both: list[smtplib.SMTP] = []

    def first(smtp: smtplib.SMTP) -> None:
        both.append(smtp)
        pool.use(both.append)

    pool.use(first)
    assert both[0] is not both[1]
    pool.use(first)
    assert both[2:] == both[:2]


def test_whatever_is_raised_ends_it(pool: Connections) -> None:
    seen: list[smtplib.SMTP] = []

    def fail(smtp: smtplib.SMTP) -> None:
        seen.append(smtp)
        raise KeyError

    with pytest.raises(KeyError):
        pool.use(fail)
    assert seen[0].sock is None
    assert lent(pool) is not seen[0]


def test_it_carries_so_many_mails_and_no_more(pool: Connections) -> None:
    used = [lent(pool) for _ in range(connections.MAILS + 1)]
    assert used.count(used[0]) == connections.MAILS
    assert used[0].sock is None


def test_who_is_refused_over_a_used_one_is_tried_once_more_over_a_new_one(
    pool: Connections,
) -> None:
    tried: list[smtplib.SMTP] = []

    def refuse(smtp: smtplib.SMTP) -> None:
        tried.append(smtp)
        raise smtplib.SMTPSenderRefused(554, b"too many messages", "noreply@example.com")

    pool.use(lambda smtp: pool.use(lambda other: None))  # two are kept
    with pytest.raises(smtplib.SMTPSenderRefused):
        pool.use(refuse)
    assert len(set(tried)) == 2
    assert [smtp.sock for smtp in tried] == [None, None]
    assert lent(pool) not in tried


def test_one_that_answers_no_more_is_not_used(serve: Callable[..., Any]) -> None:
    """As when something between forgets it, and says nothing."""
    with started(serve(timeout=0.3).smtp) as pool:
        deaf = lent(pool)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(0.3)
            deaf.close()
            deaf.sock = ours
            assert lent(pool) is not deaf


def test_it_is_kept_for_a_moment(pool: Connections) -> None:
    smtp = lent(pool)
    began = time.monotonic()
    assert smtp.sock is not None
    eventually(lambda: smtp.sock is None)
    assert time.monotonic() - began > connections.IDLE / 2


def test_one_that_is_cut_is_not_lent_again(serve: Callable[..., Any]) -> None:
    with started(serve().smtp, deadline=0.2) as pool:
        cut: list[smtplib.SMTP] = []

        def take_too_long(smtp: smtplib.SMTP) -> None:
            cut.append(smtp)
            assert smtp.sock is not None
            assert smtp.sock.recv(1) == b""

        pool.use(take_too_long)
        assert cut[0].sock is None
        assert lent(pool) is not cut[0]


def test_one_that_has_no_socket_at_its_deadline_is_cut_once_it_has(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, wait = socket.create_connection, threading.Event().wait

    def connect_late(*arguments: Any, **named: Any) -> socket.socket:
        wait(0.6)
        return connect(*arguments, **named)

    def read(smtp: smtplib.SMTP) -> None:
        assert smtp.sock is not None
        if smtp.sock.recv(1) == b"":
            raise smtplib.SMTPServerDisconnected

    with started(serve().smtp, deadline=0.2) as pool:
        monkeypatch.setattr(socket, "create_connection", connect_late)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            pool.use(read)


def test_none_is_kept_after_the_end(serve: Callable[..., Any]) -> None:
    with started(serve().smtp) as pool:
        kept: list[smtplib.SMTP] = []

        def end(smtp: smtplib.SMTP) -> None:
            kept.extend([smtp, lent(pool)])
            pool.stop()
            assert kept[1].sock is None

        pool.use(end)
        assert kept[0].sock is None
