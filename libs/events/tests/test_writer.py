"""How what is in hand is divided among transactions, and when no more of these is begun."""

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import cast

from hypothesis import example, given
from hypothesis import strategies as st

from rollcall_events.codec import RawRecord
from rollcall_events.consumer import BATCHES
from rollcall_events.folding import Outcome
from rollcall_events.writer import Writer, in_parts, side_by_side

A_WRITER = cast(Writer, None)  # handed on, and not looked at


def in_hand(partitions: Iterable[int]) -> list[RawRecord]:
    """Records of these partitions, in the order of their offsets."""
    return [
        RawRecord("users", partition, offset, None, None, None, 0)
        for offset, partition in enumerate(partitions)
    ]


def offsets(records: Iterable[RawRecord]) -> dict[int, list[int]]:
    of = defaultdict(list)
    for record in records:
        of[record.partition].append(record.offset)
    return of


@example([0] * 25 + [1], 10, 2)
@given(
    st.lists(st.integers(0, 5), max_size=80),
    st.integers(1, 30),
    st.integers(1, 20),
)
def test_every_order_of_the_parts_is_that_of_each_partition(
    partitions: list[int], most: int, enough: int
) -> None:
    records = in_hand(partitions)
    parts, left = in_parts(records, most, enough, 4)
    wanted, later = offsets(records), offsets(left)
    met: set[int] = set()
    for part in parts:
        assert 0 < len(part) <= most
        for partition, told in offsets(part).items():
            assert partition not in met
            met.add(partition)
            assert told + later[partition] == wanted[partition]
    for partition in wanted.keys() - met:
        assert later[partition] == wanted[partition]
    assert parts or not records


def test_the_parts_are_about_equal() -> None:
    records = in_hand(number // 100 for number in range(1_600))
    parts, left = in_parts(records, 500, 200, BATCHES)
    assert ([len(part) for part in parts], left) == ([200] * 8, [])


def test_little_makes_two_parts_and_one_partition_one() -> None:
    parts, _ = in_parts(in_hand([1, 2, 3, 4] * 50), 500, 200, BATCHES)
    assert [len(part) for part in parts] == [100, 100]
    parts, left = in_parts(in_hand([1] * 700), 500, 200, BATCHES)
    assert ([len(part) for part in parts], len(left)) == ([500], 200)


def test_once_one_has_raised_none_is_begun() -> None:
    error = ValueError()

    def raises(writer: Writer) -> Outcome:
        raise error

    def applies(writer: Writer) -> Outcome:
        return Outcome(applied=1)

    ended = side_by_side([A_WRITER], [applies, raises, applies], lambda: False)
    assert ended == {0: Outcome(applied=1), 1: error}


def test_once_it_is_over_none_is_begun() -> None:
    over = threading.Event()

    def ends_it(writer: Writer) -> Outcome:
        over.set()
        return Outcome()

    assert side_by_side([A_WRITER], [ends_it, ends_it], over.is_set) == {0: Outcome()}
