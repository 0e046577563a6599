"""Records that the log holds and a client does not bring, whatever its reason.

A client that believes something wrong of a partition, or of who leads it, may be silent about that
one for good. So what it fetches next, by its statistics, is compared with the log's end, by the
broker.
"""

from collections.abc import Mapping
from typing import Any

from rollcall_events.settings import QUEUED_BYTES, QUEUED_RECORDS

STANDING = 20.0  # seconds; a leader that changes takes a few
LONGEST = 3_600.0  # seconds; where another client does not bring it either

Place = tuple[int, int]  # a partition, and what is fetched next of it


class Unfetched:
    """Since when each partition has stood before records that are in the log."""

    def __init__(self) -> None:
        self._since: dict[Place, float] = {}
        self._patience: dict[Place, float] = {}  # seconds, where that has been told already

    def forget(self) -> None:
        """Nothing is known of the time before: the client had a reason, or is another."""
        self._since.clear()

    def look(self, next_: Mapping[int, int], ends: Mapping[int, int], now: float) -> list[int]:
        """The partitions that have stood there for STANDING seconds, by all looks since then; where
        that was told before, for twice as long as then, an hour at most.

        next_, ends: partition → what the client fetches next, and the log's end asked afterwards.
        now: in seconds of any clock."""
        standing = [place for place in next_.items() if ends.get(place[0], 0) > place[1]]
        self._since = {place: self._since.get(place, now) for place in standing}
        self._patience = {p: s for p, s in self._patience.items() if next_.get(p[0], p[1]) == p[1]}
        told = [p for p in standing if now - self._since[p] >= self._patience.get(p, STANDING)]
        for place in told:
            self._patience[place] = min(2 * self._patience.get(place, STANDING), LONGEST)
        return [partition for partition, _ in told]


def fetched_next(statistics: Mapping[str, Any], topic: str) -> dict[int, int]:
    """What the client fetches next, partition → offset: past whatever it has fetched, be it a
    record or a transaction's mark; 0 where it has fetched nothing. Empty while so much waits in its
    queue that it need not fetch any."""
    said = statistics["topics"].get(topic, {}).get("partitions", {}).values()
    # The queue is one for all partitions, and each tells of all that is in it.
    if any(p["fetchq_cnt"] >= QUEUED_RECORDS or p["fetchq_size"] >= QUEUED_BYTES for p in said):
        return {}
    return {partition["partition"]: partition["next_offset"] for partition in said}
