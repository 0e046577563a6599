"""What a race shows: figures, and whatever must not have been."""

import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

_SHOWN = 20  # violations of one race
_PERIOD = 5.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Result:
    race: str
    figures: str
    violations: Sequence[str]

    def __str__(self) -> str:
        if not self.violations:
            return f"{self.race}: {self.figures}"
        shown = [f"  {violation}" for violation in self.violations[:_SHOWN]]
        left_out = len(self.violations) - len(shown)
        more = [f"  and {left_out} more"] if left_out else []
        count = f"{len(self.violations)} VIOLATIONS"
        return "\n".join([f"{self.race}: {count}, {self.figures}", *shown, *more])


class Progress:
    """Lines about a long run, now and then."""

    def __init__(self, race: str, *, quiet: bool = False):
        self.race = race
        self._quiet = quiet
        self._started = self._said = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def done(self, count: int, of: int, what: str = "rounds") -> None:
        if self._quiet or time.monotonic() < self._said + _PERIOD:
            return
        self._said = time.monotonic()
        sys.stderr.write(f"{self.race}: {count} of {of} {what}, {self.seconds:.0f} s\n")


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of them do not exceed."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def new_email(who: str) -> str:
    return f"{who}-{uuid.uuid4().hex}@example.com"
