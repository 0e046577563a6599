"""What replicas say they hold is judged: each partition is somebody's, and nobody else's."""

from chaos.cluster import wrongly_held


def test_each_partition_has_one_holder() -> None:
    assert wrongly_held({"a": set(range(25)), "b": set(range(25, 50))}) == []
    assert wrongly_held({"a": set(range(26)), "b": set(range(25, 49)), "c": set()}) == [
        "partition 25 is held by a and b",
        "partition 49 is held by nobody",
    ]
