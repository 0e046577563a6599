"""When a message is tried again."""

from rollcall_service.ledger import Delivery
from rollcall_service.schedule import Schedule


def delivery(attempts: int, age: float = 0.0, before: int = 0) -> Delivery:
    return Delivery(1, "", "", "test", "ada", {}, attempts, age, attempts_before=before)


def test_the_schedule_doubles_up_to_a_limit() -> None:
    schedule = Schedule(first=2, longest=60, give_up=3600)
    delays = [schedule.delay(delivery(n), None, lambda: 1.0) for n in range(1, 9)]
    assert delays == [2, 4, 8, 16, 32, 60, 60, 60]
    assert schedule.delay(delivery(10_000), None, lambda: 0.5) == 30
    assert schedule.delay(delivery(5), None, lambda: 0.0) == 0


def test_the_schedule_begins_anew_with_a_retry_by_hand() -> None:
    schedule = Schedule(first=2, longest=60, give_up=3600)
    delays = [schedule.delay(delivery(n, before=20), None, lambda: 1.0) for n in range(21, 25)]
    assert delays == [2, 4, 8, 16]


def test_the_schedule_never_comes_before_a_providers_wish() -> None:
    schedule = Schedule(first=2, longest=60, give_up=3600)
    assert schedule.delay(delivery(1), 120, lambda: 0.0) == 120
    assert schedule.delay(delivery(1), 120, lambda: 1.0) == 122


def test_the_schedule_ends() -> None:
    schedule = Schedule(first=2, longest=60, give_up=3600)
    assert schedule.delay(delivery(1, age=3599.5), None, lambda: 1.0) is None
    assert schedule.delay(delivery(1, age=3000), 700, lambda: 0.0) is None
