"""When a partition stands before records that are in the log."""

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


def statistics(waiting: int) -> dict[str, object]:
    partitions = {
        "-1": {"partition": -1, "next_offset": -1_001, "fetchq_cnt": 0},
        "3": {"partition": 3, "next_offset": 8, "fetchq_cnt": 0},
        "4": {"partition": 4, "next_offset": 9, "fetchq_cnt": waiting},
    }
    return {"topics": {"users": {"partitions": partitions}}}


def test_while_records_wait_in_a_client_it_need_not_fetch_any() -> None:
    assert fetched_next(statistics(waiting=0), "users") == {3: 8, 4: 9}
    assert fetched_next(statistics(waiting=1), "users") == {}
    assert fetched_next(statistics(waiting=0), "others") == {}
