"""The figures of a run: medians of its rounds, as tables and as JSON."""

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from statistics import median
from typing import Any

from bench.load import Window, percentile


@dataclass(frozen=True)
class Row:
    """One case with so many clients. Times are in milliseconds; CPU time is for each request."""

    case: str
    clients: int
    rates: list[float]  # of each round
    rate: float  # right answers a second
    p50: float
    p99: float
    errors: Counter[str]  # of all rounds, warm-ups included
    cpu: dict[str, float]
    cores: float  # busy with what is in `cpu`
    other_cores: float  # busy with anything else on this machine


def row(case: str, clients: int, rounds: Sequence[Window]) -> Row:
    """Each figure is the median of the rounds'."""
    groups = rounds[0].spent.groups
    return Row(
        case,
        clients,
        rates=[w.rate for w in rounds],
        rate=median(w.rate for w in rounds),
        p50=median(1000 * percentile(w.latencies, 50) for w in rounds),
        p99=median(1000 * percentile(w.latencies, 99) for w in rounds),
        errors=sum((w.errors for w in rounds), Counter()),
        cpu={
            g: median(1000 * w.spent.groups[g] / len(w.latencies) for w in rounds) for g in groups
        },
        cores=median(_ours(w) / w.seconds for w in rounds),
        other_cores=median((w.spent.machine - _ours(w)) / w.seconds for w in rounds),
    )


def rates(rows: Sequence[Row], peer: str) -> str:
    """A table, with the ratio of each rate and p50 to the peer's with as many clients."""
    peers = {row.clients: row for row in rows if row.case == peer}
    heads = ["req/s", "x peer", "p50 ms", "x peer", "p99 ms", "errors"]
    return _table(rows, heads, lambda row: _rates(row, peers[row.clients]))


def cpu(rows: Sequence[Row]) -> str:
    """A table of CPU milliseconds for each request, and of how many cores were busy."""
    groups = list(rows[0].cpu)
    return _table(rows, [*groups, "cores", "others"], lambda row: _cpu(row, groups))


def errors(rows: Sequence[Row]) -> list[str]:
    """A line for each kind of wrong answer."""
    return [
        f"{row.case}, {row.clients} clients: {count} x {wrong}"
        for row in rows
        for wrong, count in row.errors.most_common()
    ]


def machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("fastapi", "sqlalchemy", "uvicorn", "confluent-kafka")},
    }


def document(rows: Sequence[Row], **more: Any) -> dict[str, Any]:
    """For machines: the same figures, not rounded."""
    return {"machine": machine(), **more, "rows": [asdict(row) for row in rows]}


def _ours(window: Window) -> float:
    return sum(window.spent.groups.values())


def _rates(row: Row, peer: Row) -> list[str]:
    return [
        f"{row.rate:.0f}",
        f"{row.rate / peer.rate:.2f}",
        f"{row.p50:.2f}",
        f"{row.p50 / peer.p50:.2f}",
        f"{row.p99:.2f}",
        str(row.errors.total()),
    ]


def _cpu(row: Row, groups: Sequence[str]) -> list[str]:
    return [
        *(f"{row.cpu[group]:.2f}" for group in groups),
        f"{row.cores:.2f}",
        f"{row.other_cores:.2f}",
    ]


def _table(rows: Sequence[Row], heads: Sequence[str], cells: Callable[[Row], list[str]]) -> str:
    lines = [["clients", "case", *heads]]
    lines += ([str(row.clients), row.case, *cells(row)] for row in rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(_aligned(line, widths)) for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Numbers to the right, the name of the case to the left."""
    for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
        yield cell.ljust(width) if column == 1 else cell.rjust(width)
