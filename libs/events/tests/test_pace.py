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
    assert pace.limit(3) == 3
    assert rest_after(0.2, limit, worked=10) == pytest.approx(40, rel=0.01)


@pytest.mark.parametrize("a_second", [2_000, 10_000])
def test_it_works_for_five_milliseconds_at_a_time(a_second: int) -> None:
    """However fast records are applied here."""
    pace = Pace(lambda: 0.2)
    for _ in range(10):
        records = pace.limit(2_000)
        pace.rest(records, time.monotonic() - records / a_second, Rests())
    assert pace.limit(2_000) == pytest.approx(a_second / 200, rel=0.1)


def test_its_batches_are_neither_tiny_nor_large() -> None:
    pace = Pace(lambda: 0.2)
    for worked, bounds in ((10.0, range(5, 50)), (0.0, range(50, 500))):
        for _ in range(20):
            pace.rest(pace.limit(2_000), time.monotonic() - worked, Rests())
        assert pace.limit(2_000) in bounds


def test_at_the_log_s_end_it_keeps_up() -> None:
    assert rest_after(0.2, 3, worked=10) == 0
