"""The next offsets that a group keeps in its schema, beside the batches that move them (inbox.py).

Each is of one topic by Kafka's own id: offsets of another log say nothing of this one.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine, text

from rollcall_events.inbox import StaleOwner
from rollcall_events.topic import Topic


class Refused(Exception):
    """The stored offsets are of another log. The message says of which, and nothing is consumed."""


def check_topic(engine: Engine, topic: Topic) -> None:
    """Raises Refused if any stored offset is of another topic of that name."""
    with engine.connect() as connection:
        row = connection.execute(_OTHER_TOPIC, {"topic": topic.name, "topic_id": topic.id}).first()
    if row is not None:
        raise Refused(
            f"the stored offsets are of the topic with id {row.topic_id}, but {topic.name}"
            f" has id {topic.id}: restore that topic, or empty this schema"
        )


def load_offsets(engine: Engine, topic: Topic, partitions: Sequence[int]) -> dict[int, int]:
    """The stored next offsets, made as 0 where there are none."""
    parameters = {"topic": topic.name, "partitions": list(partitions), "topic_id": topic.id}
    with engine.begin() as connection:
        connection.execute(_MAKE_OFFSETS, parameters)
        rows = connection.execute(_LOAD_OFFSETS, parameters).all()
    return {row.partition: row.next_offset for row in rows}


def move_over(
    engine: Engine, topic: Topic, positions: Mapping[int, int], ends: Mapping[int, int]
) -> None:
    """Move offsets from where they are believed to be to where the log ends, with no record between
    the two that can be read. Raises StaleOwner if any is elsewhere; nothing has changed then."""
    parameters = {
        "topic": topic.name,
        "partitions": list(ends),
        "starts": [positions[partition] for partition in ends],
        "ends": list(ends.values()),
    }
    with engine.begin() as connection:
        if connection.execute(_MOVE, parameters).rowcount != len(ends):
            raise StaleOwner


_MAKE_OFFSETS = text(
    "INSERT INTO offsets (topic, partition, next_offset, topic_id)"
    " SELECT :topic, p, 0, :topic_id FROM unnest(cast(:partitions AS int[])) AS p"
    " ORDER BY p ON CONFLICT DO NOTHING"
)
_OTHER_TOPIC = text(
    "SELECT topic_id FROM offsets WHERE topic = :topic AND topic_id <> :topic_id LIMIT 1"
)
_LOAD_OFFSETS = text(
    "SELECT partition, next_offset FROM offsets"
    " WHERE topic = :topic AND partition = ANY (cast(:partitions AS int[]))"
)
_MOVE = text(
    "UPDATE offsets o SET next_offset = v.next_offset"
    " FROM (SELECT s.topic, s.partition, w.next_offset FROM unnest(cast(:partitions AS int[]),"
    "   cast(:starts AS bigint[]), cast(:ends AS bigint[])) AS w (partition, start, next_offset)"
    "  JOIN offsets s ON s.topic = :topic AND s.partition = w.partition AND s.next_offset = w.start"
    "  ORDER BY s.partition FOR UPDATE OF s) v"
    " WHERE o.topic = v.topic AND o.partition = v.partition"
)
