"""What a consumer says of itself."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from rollcall_events.folding import Outcome
from rollcall_events.session import Session


@dataclass(frozen=True)
class Status:
    """What a replica holds, told by itself. Lag counts records behind the log's end, and the
    seconds since a partition that is behind was last at its end."""

    state: str = "starting"
    partitions: Sequence[int] = ()
    lag_records: int = 0
    lag_seconds: float = 0.0
    events: Mapping[str, int] = field(default_factory=dict)


class Reporter:
    """Keeps the newest status. totals: what all batches came to."""

    def __init__(self) -> None:
        self.status = Status()
        self.totals = Outcome()
        self._at_end: dict[int, float] = {}  # of time.monotonic

    def begin(self) -> None:
        """Another session begins: what is behind has been so since then."""
        self._at_end.clear()

    def report(self, state: str, session: Session | None = None) -> None:
        positions = session.positions if session else {}
        ends = session.ends() if session else {}
        behind = {p: end - positions[p] for p, end in ends.items() if end > positions[p]}
        now = time.monotonic()
        for partition in positions:
            if not behind.get(partition):
                self._at_end[partition] = now
        waited = [now - self._at_end.setdefault(p, now) for p in behind]
        self.status = Status(
            state=state,
            partitions=sorted(positions),
            lag_records=sum(behind.values()),
            lag_seconds=round(max(waited, default=0.0), 3),
            events=asdict(self.totals),
        )
