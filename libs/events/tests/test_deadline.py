"""What runs too long is interrupted where it runs, and nowhere else."""

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from rollcall_events.deadline import Deadline, HandlerTimedOut

SOON = 0.2  # seconds


@pytest.fixture
def deadline() -> Iterator[Deadline]:
    made = Deadline(SOON)
    made.start()
    yield made
    made.stop()


def test_what_is_done_in_time_is_left_alone(deadline: Deadline) -> None:
    for _ in range(1_000):
        with deadline:
            pass
    spin_for(5)  # outside of it anything may take as long as it likes


def test_what_never_ends_is_interrupted(deadline: Deadline) -> None:
    for _ in range(3):
        with pytest.raises(HandlerTimedOut), deadline:
            spin_for(10_000)


def test_who_swallows_the_interruption_is_found_out(deadline: Deadline) -> None:
    with pytest.raises(HandlerTimedOut), deadline, suppress(Exception):
        spin_for(10_000)
    spin_for(5)


def test_errors_of_one_s_own_pass(deadline: Deadline) -> None:
    with pytest.raises(KeyError), deadline:
        raise KeyError


def spin_for(deadlines: int) -> None:

    end = time.monotonic() + deadlines * SOON
    while time.monotonic() < end:
        pass
