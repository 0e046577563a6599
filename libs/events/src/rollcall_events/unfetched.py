"""Records that the log holds and a client does not bring, whatever its reason.

A client that believes something wrong of a partition, or of who leads it, may be silent about that
one for good. So what it fetches next, by its statistics, is compared with the log's end, by the
broker.
"""

from collections.abc import Mapping
from typing import Any

STANDING = 20.0  # seconds; a leader that changes takes a few


class Unfetched:
    """Since when each partition has stood before records that are in the log."""

    def __init__(self) -> None:
        self._since: dict[tuple[int, int], float] = {}  # of partition and what is fetched next

    def look(self, next_: Mapping[int, int], ends: Mapping[int, int], now: float) -> list[int]:
        """The partitions that have stood there for STANDING seconds, by the looks since then.

        next_, ends: partition → what the client fetches next, and the log's end asked afterwards.
        now: in seconds of any clock."""
        standing = [place for place in next_.items() if ends.get(place[0], 0) > place[1]]
        self._since = {place: self._since.get(place, now) for place in standing}
        return [place[0] for place, since in self._since.items() if now - since >= STANDING]


def fetched_next(statistics: Mapping[str, Any], topic: str) -> dict[int, int]:
    """What the client fetches next, partition → offset: past whatever it has fetched, be it a
    record or a transaction's mark. Empty while records wait in it: it need not fetch any then."""
    said = statistics["topics"].get(topic, {}).get("partitions", {}).values()
    if any(partition["fetchq_cnt"] for partition in said):
        return {}
    return {p["partition"]: p["next_offset"] for p in said if p["next_offset"] >= 0}
