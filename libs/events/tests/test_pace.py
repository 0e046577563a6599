"""What a consumer leaves to others."""

import time
from threading import Event

import pytest

from rollcall_events import Pace


class Rests(Event):
    """Remembers how long it was waited for, and waits no longer than that takes."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds += timeout or 0.0
        return False


def rest_after(share: float, records: int, worked: float) -> float:
    pace, rests = Pace(lambda: share), Rests()
    pace.limit(2_000)
    pace.rest(records, time.monotonic() - worked, rests)
    return rests.seconds


def test_at_full_speed_nothing_is_left() -> None:
    assert Pace().limit(2_000) == 2_000
    assert rest_after(1.0, 2_000, worked=10) == 0


def test_a_fifth_of_the_time_is_four_fifths_of_rest() -> None:
    pace = Pace(lambda: 0.2)
    limit = pace.limit(2_000)
    assert limit < 2_000
    assert pace.limit(10) == 10
    assert rest_after(0.2, limit, worked=10) == pytest.approx(40, rel=0.01)


def test_at_the_log_s_end_it_keeps_up() -> None:
    assert rest_after(0.2, 3, worked=10) == 0
