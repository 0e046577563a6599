"""The whole audit trail as a file: how fast it comes, and what that takes of memory."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from bench.history.client import Client
from bench.history.memory import Sampled


@dataclass(frozen=True)
class Exported:
    """MiB before, and the most of it meanwhile, by group of processes."""

    rows: int
    seconds: float
    before: Mapping[str, float]
    most: Mapping[str, float]

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


def export(port: int, token: str, media_type: str, groups: Mapping[str, Sequence[int]]) -> Exported:
    """A row is a line; the head of a file that has one does not count."""
    lines = 0
    with closing(Client(port, token)) as client, Sampled(groups) as memory:
        began = time.perf_counter()
        for piece in client.pieces("/v1/events", media_type):
            lines += piece.count(b"\n")
        seconds = time.perf_counter() - began
    head = 1 if media_type == "text/csv" else 0
    return Exported(lines - head, seconds, memory.before, memory.most)
