"""The ids that the gateway makes, by the partitioner that publishers and consumers go by."""

from collections import Counter

from rollcall_events.ids import is_uuid
from rollcall_events.partitioner import partition_of
from rollcall_events.topic import PARTITIONS
from rollcall_gateway.aggregate_ids import TOGETHER_NS, AggregateIds


def partitions(moments: list[int]) -> list[int]:
    clock = iter(moments)
    ids = AggregateIds(now=lambda: next(clock))
    made = [ids.new() for _ in moments]
    assert len(set(made)) == len(made)
    assert all(is_uuid(id_) and id_[14] == "7" for id_ in made)
    assert made == sorted(made, key=lambda id_: id_[:13])
    return [partition_of(id_.encode(), PARTITIONS) for id_ in made]


def test_ids_of_one_moment_share_a_partition() -> None:
    moment = 1_700_000_000_000_000_000
    assert (
        len(set(partitions([moment + n for n in range(0, TOGETHER_NS, TOGETHER_NS // 500)]))) == 1
    )


def test_moments_spread_over_all_partitions() -> None:
    """Each moment's partition is drawn, none more than another: the largest of 50 counts around
    100 is above 160 once in ten million runs."""
    counts = Counter(partitions([n * TOGETHER_NS for n in range(100 * PARTITIONS)]))
    assert set(counts) == set(range(PARTITIONS))
    assert max(counts.values()) < 160
