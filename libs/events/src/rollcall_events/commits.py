"""Which offsets of a group Kafka knows, by its own word, and which it has to be told.

What was sent says nothing. Around a restart of the coordinator a client may never answer for a
commit, or repeat one that failed after a later one has arrived, and so put Kafka back. Where
nothing more is appended it would show a lag for ever.
"""

from collections.abc import Iterable, Mapping

ANSWER_WITHIN = 10.0  # seconds; a commit without an answer is sent again then


class Commits:
    """Of the partitions that one member holds, and has held since they were assigned to it: whoever
    held them before may have died between the store and Kafka."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}  # partition → the offset that was acknowledged last
        self._sent: dict[int, tuple[int, float]] = {}  # the same, not answered yet, and when

    def due(self, positions: Mapping[int, int], now: float) -> dict[int, int]:
        """What is to be sent, of the offsets that are in the store for good. From now on it is on
        its way.

        positions: partition → next offset. now: in seconds of any clock."""
        self._sent = {p: s for p, s in self._sent.items() if now - s[1] < ANSWER_WITHIN}
        due = {
            partition: offset
            for partition, offset in positions.items()
            if offset
            and self._known.get(partition) != offset
            and (partition not in self._sent or self._sent[partition][0] != offset)
        }
        self._sent |= {partition: (offset, now) for partition, offset in due.items()}
        return due

    def acknowledged(self, partition: int, offset: int) -> None:
        self._known[partition] = offset
        if self._sent.get(partition, (None,))[0] == offset:  # else a later one is on its way
            del self._sent[partition]

    def refused(self, partitions: Iterable[int]) -> None:
        for partition in partitions:
            self._sent.pop(partition, None)

    def forget(self, partitions: Iterable[int]) -> None:
        """They are another member's now."""
        for partition in partitions:
            self._known.pop(partition, None)
            self._sent.pop(partition, None)
