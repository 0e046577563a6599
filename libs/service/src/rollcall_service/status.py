"""What a replica answers on GET /status: what it holds, told by itself."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Held(Protocol):
    """The status of a consumer, as the events library gives it."""

    @property
    def state(self) -> str: ...
    @property
    def partitions(self) -> Sequence[int]: ...
    @property
    def lag_records(self) -> int: ...
    @property
    def lag_seconds(self) -> float: ...
    @property
    def events(self) -> Mapping[str, int]: ...


def replica_status(replica_id: str, service: str, topic: str, held: Held) -> dict[str, Any]:
    """The service's name is its consumer group's too. events: counts by what became of them."""
    return {
        "id": replica_id,
        "service": service,
        "group": service,
        "pid": os.getpid(),
        "state": held.state,
        "partitions": {topic: list(held.partitions)},
        "lag_records": held.lag_records,
        "lag_seconds": held.lag_seconds,
        "events": dict(held.events),
    }
