"""When a partition stands before records that are in the log."""

from rollcall_events.settings import QUEUED_BYTES, QUEUED_RECORDS
from rollcall_events.unfetched import STANDING, Unfetched, fetched_next


def test_one_that_stands_is_told_after_a_while() -> None:
    unfetched = Unfetched()
    assert unfetched.look({1: 5, 2: 7}, {1: 6, 2: 7}, 100.0) == []
    assert unfetched.look({1: 5, 2: 7}, {1: 6, 2: 7}, 99.0 + STANDING) == []
    assert unfetched.look({1: 5, 2: 7}, {1: 8, 2: 7}, 100.0 + STANDING) == [1]


def test_one_that_moves_or_is_at_the_end_or_is_not_known_of_does_not_stand() -> None:
    for next_, ends in (({1: 6}, {1: 8}), ({1: 5}, {1: 5}), ({}, {1: 8}), ({1: 5}, {})):
        unfetched = Unfetched()
        assert unfetched.look({1: 5}, {1: 8}, 0.0) == []
        assert unfetched.look(next_, ends, STANDING / 2) == []
        assert unfetched.look({1: 5}, {1: 8}, STANDING) == []
        assert unfetched.look({1: 5}, {1: 8}, 2 * STANDING) == [1]


def test_where_another_client_does_not_help_the_next_has_more_time() -> None:
    unfetched = Unfetched()
    told = []
    for second in range(int(16 * STANDING)):
        if unfetched.look({1: 5}, {1: 6}, second):
            told.append(second / STANDING)
            unfetched.forget()
    assert [round(at) for at in told] == [1, 3, 7, 15]
    assert unfetched.look({1: 6}, {1: 7}, 0.0) == []  # another record is another matter
    assert unfetched.look({1: 6}, {1: 7}, STANDING) == [1]


def test_it_has_an_hour_at_most() -> None:
    unfetched = Unfetched()
    now = 0.0
    for _ in range(20):
        unfetched.look({1: 5}, {1: 6}, now)
        now += 3_600.0
        assert unfetched.look({1: 5}, {1: 6}, now) == [1]
        unfetched.forget()


def statistics(records: int, size: int) -> dict[str, object]:
    queue = {"fetchq_cnt": records, "fetchq_size": size}
    partitions = {
        "3": {"partition": 3, "next_offset": 8, **queue},
        "4": {"partition": 4, "next_offset": 0, **queue},
    }
    return {"topics": {"users": {"partitions": partitions}}}


def test_while_a_client_has_enough_it_need_not_fetch_any() -> None:
    assert fetched_next(statistics(QUEUED_RECORDS - 1, QUEUED_BYTES - 1), "users") == {3: 8, 4: 0}
    assert fetched_next(statistics(QUEUED_RECORDS, 0), "users") == {}
    assert fetched_next(statistics(1, QUEUED_BYTES), "users") == {}
    assert fetched_next(statistics(0, 0), "others") == {}
