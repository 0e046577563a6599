"""The figures of a run, as a table and as JSON. What was not measured says so."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.history.exporting import Exported
from bench.history.generations import Verified
from bench.history.living import Living

NOT_MEASURED = "not measured"
# The most that p99 may be, in milliseconds.
AIMS = {
    "user ?at=": 20.0,
    "list ?at= by creation": 60.0,
    "list ?at=&email=": 60.0,
    "list ?at=&role=": 60.0,
}

Times = dict[str, tuple[float, float]]  # kind → p50 and p99, in milliseconds


@dataclass
class Figures:
    """None and empty: not measured. Rates are in events, or rows, a second."""

    events: int
    cores: int
    small: Times = field(default_factory=dict)
    large: Times = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    projected: float | None = None
    indexes: list[str] = field(default_factory=list)
    exports: dict[str, Exported] = field(default_factory=dict)
    rebuilt: float | None = None
    floor: float | None = None
    throttled: float | None = None
    quiet: Living | None = None
    beside: Living | None = None
    delivered: tuple[dict[str, str], dict[str, str]] | None = None
    verified: Verified | None = None
    damaged: Verified | None = None


def table(figures: Figures) -> str:
    rows = [*_rows(figures)]
    width = max(len(name) for name, _ in rows)
    head = f"{figures.events:,} events, after VACUUM (ANALYZE). Cores: {figures.cores}."
    return "\n".join([head, "", *(f"{name:{width}}  {figure}" for name, figure in rows)])


def document(figures: Figures) -> dict[str, Any]:
    """For machines: each line of the table, and the figures not rounded."""
    return {
        "events": figures.events,
        "cores": figures.cores,
        "milliseconds": {"10000": dict(figures.small), str(figures.events): dict(figures.large)},
        "failed": figures.failed,
        "lines": dict(_rows(figures)),
    }


def _rows(figures: Figures) -> Iterator[tuple[str, str]]:
    for kind in {**figures.small, **figures.large, **figures.failed}:
        if not kind.startswith("export"):
            yield kind, _asked(figures, kind)
    yield "index of ?q=", ", ".join(figures.indexes) or NOT_MEASURED
    yield "append to folded", _rate(figures.projected)
    for form in ("NDJSON", "CSV"):
        yield f"export, {form}", _exported(figures.exports.get(form))
    yield "rebuild at full speed", _rate(figures.rebuilt)
    yield "its floor", _rate(figures.floor) + _ratio(figures.rebuilt, figures.floor, "of it")
    yield "rebuild beside clients", _rate(figures.throttled)
    for kind in ("reads", "commands"):
        yield f"{kind} beside it", _noticed(figures, kind)
    yield "deliveries after a rebuild", _delivered(figures)
    yield "verification", _verified(figures.verified)
    yield "the same, one row damaged", _verified(figures.damaged)


def _asked(figures: Figures, kind: str) -> str:
    if kind in figures.failed:
        return f"{NOT_MEASURED}: {figures.failed[kind]}"
    (small, small_p99), (large, large_p99) = figures.small[kind], figures.large[kind]
    aim = f" (aim {AIMS[kind]:.0f})" if kind in AIMS else ""
    return (
        f"p50 {large:.1f} ms, p99 {large_p99:.1f} ms{aim}; of 10,000 events {small:.1f},"
        f" {small_p99:.1f}: x {large / small:.2f}, {large_p99 / small_p99:.2f}"
    )


def _exported(exported: Exported | None) -> str:
    if exported is None:
        return NOT_MEASURED
    memory = ", ".join(
        f"{name} {exported.before[name]:.0f} to {most:.0f} MiB"
        for name, most in exported.most.items()
    )
    return f"{exported.rows:,} rows, {exported.rate:,.0f} rows/s; {memory}"


def _noticed(figures: Figures, kind: str) -> str:
    if figures.quiet is None or figures.beside is None:
        return NOT_MEASURED
    quiet, beside = getattr(figures.quiet, kind), getattr(figures.beside, kind)
    errors = ", ".join(f"{count} x {what}" for what, count in beside.errors.items())
    return (
        f"p99 {beside.p99():.1f} ms, x {beside.p99() / quiet.p99():.2f};"
        f" {len(beside.taken):,} right, {beside.errors.total()} errors {errors}".rstrip()
    )


def _delivered(figures: Figures) -> str:
    if figures.delivered is None:
        return NOT_MEASURED
    before, after = figures.delivered
    said = "; ".join(f"{service} {count}" for service, count in after.items())
    return f"unchanged: {said}" if before == after else f"CHANGED from {before} to {after}"


def _verified(verified: Verified | None) -> str:
    if verified is None:
        return NOT_MEASURED
    found = ", ".join(verified.differences[:5])
    count = len(verified.differences)
    return (
        f"{verified.rows:,} rows, {verified.rate:,.0f} rows/s; {count} differences {found}".rstrip()
    )


def _rate(rate: float | None) -> str:
    return NOT_MEASURED if rate is None else f"{rate:,.0f} events/s"


def _ratio(figure: float | None, other: float | None, said: str) -> str:
    return f"; {figure / other:.2f} {said}" if figure and other else ""
