"""What Kafka has to be told, whatever becomes of what it was told before."""

from hypothesis import given
from hypothesis import strategies as st

from rollcall_events.commits import ANSWER_WITHIN, Commits


def test_it_is_sent_once_and_again_only_without_an_answer() -> None:
    commits = Commits()
    assert commits.due({1: 5, 2: 0}, 0.0) == {1: 5}  # nothing was read of 2
    assert commits.due({1: 5}, ANSWER_WITHIN / 2) == {}
    assert commits.due({1: 5}, ANSWER_WITHIN) == {1: 5}
    commits.acknowledged(1, 5)
    assert commits.due({1: 5}, 3 * ANSWER_WITHIN) == {}


def test_what_comes_meanwhile_does_not_wait_for_the_answer() -> None:
    commits = Commits()
    assert commits.due({1: 5}, 0.0) == {1: 5}
    assert commits.due({1: 6}, 0.5) == {1: 6}
    commits.acknowledged(1, 5)
    assert commits.due({1: 6}, 1.0) == {}  # nor is it sent twice
    commits.acknowledged(1, 6)
    assert commits.due({1: 6}, 2 * ANSWER_WITHIN) == {}


def test_what_is_refused_or_overtaken_is_sent_at_once() -> None:
    commits = Commits()
    commits.due({1: 6, 2: 3}, 0.0)
    commits.refused([2])
    assert commits.due({1: 6, 2: 3}, 0.5) == {2: 3}
    commits.acknowledged(1, 6)
    commits.acknowledged(1, 5)
    assert commits.due({1: 6, 2: 3}, 1.0) == {1: 6}


def test_a_partition_that_comes_back_is_told_anew() -> None:
    commits = Commits()
    commits.due({1: 5}, 0.0)
    commits.acknowledged(1, 5)
    commits.forget([1])
    assert commits.due({1: 5}, 1.0) == {1: 5}


FATES = st.sampled_from(["arrives", "arrives unheard", "refused", "lost", "later"])


@given(st.lists(st.tuples(st.integers(0, 2), FATES), max_size=40))
def test_in_the_end_kafka_knows_every_offset(steps: list[tuple[int, str]]) -> None:
    """However commits are answered, lost or repeated: once Kafka answers, in the order in which it
    works, it comes to know the offsets."""
    commits, kafka = Commits(), dict[int, int]()
    positions = dict.fromkeys(range(3), 0)
    repeated: list[dict[int, int]] = []
    now = 0.0

    def arrive(sent: dict[int, int], *, heard: bool) -> None:
        kafka.update(sent)
        for partition, offset in sent.items():
            if heard:
                commits.acknowledged(partition, offset)

    for partition, fate in steps:
        now += 0.5
        positions[partition] += 1
        sent = commits.due(positions, now)
        if fate.startswith("arrives"):
            arrive(sent, heard=fate == "arrives")
        elif fate == "refused":
            commits.refused(sent)
        elif fate == "later":
            repeated.append(sent)
    for sent in repeated:
        arrive(sent, heard=True)
    arrive(commits.due(positions, now + ANSWER_WITHIN), heard=True)
    assert kafka == {partition: offset for partition, offset in positions.items() if offset}
