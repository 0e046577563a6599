"""Which connections to a real SMTP server are lent, kept and closed."""

import ssl
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
    yield pool
    pool.stop()


@pytest.fixture
def pool(serve: Callable[..., Any]) -> Iterator[Connections]:
    with started(serve().smtp) as pool:
        yield pool


def test_each_is_lent_to_one_at_a_time_and_the_last_one_first(pool: Connections) -> None:
    with pool.one() as first, pool.one() as second:
        assert first is not second
    with pool.one() as again, pool.one() as other:
        assert (again, other) == (first, second)
        assert again.noop()[0] == other.noop()[0] == 250


def test_whatever_is_raised_ends_it(pool: Connections) -> None:
    with pytest.raises(KeyError), pool.one() as first:
        raise KeyError
    assert first.sock is None
    with pool.one() as second:
        assert second is not first


def test_it_carries_so_many_mails_and_no_more(pool: Connections) -> None:
    used = []
    for _ in range(connections.MAILS + 1):
        with pool.one() as smtp:
            used.append(smtp)
    assert used.count(used[0]) == connections.MAILS
    assert used[0].sock is None


def test_it_is_kept_for_a_moment(pool: Connections) -> None:
    with pool.one() as smtp:
        pass
    began = time.monotonic()
    assert smtp.sock is not None
    eventually(lambda: smtp.sock is None)
    assert time.monotonic() - began > connections.IDLE / 2


def test_one_that_is_cut_is_not_lent_again(serve: Callable[..., Any]) -> None:
    with started(serve().smtp, deadline=0.2) as pool:
        with pool.one() as late:
            assert late.sock is not None
            assert late.sock.recv(1) == b""
        assert late.sock is None
        with pool.one() as other:
            assert other is not late


def test_none_is_kept_after_the_end(serve: Callable[..., Any]) -> None:
    with started(serve().smtp) as pool:
        with pool.one() as kept:
            pass
        with pool.one() as lent:
            assert lent is kept
            with pool.one() as other:
                pass
            pool.stop()
            assert other.sock is None
        assert lent.sock is None
