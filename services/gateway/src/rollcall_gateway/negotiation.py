"""Which of several media types a client wants: Accept, as RFC 9110 §12.5.1 has it."""

import re
from collections.abc import Iterator, Sequence

_RANGE = re.compile(r"\s*([\w!#$&^.+*-]+)/([\w!#$&^.+*-]+)\s*((?:;[^;]*)*)", re.ASCII)
_QUALITY = re.compile(r"\s*q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", re.ASCII | re.IGNORECASE)


def preferred(accept: list[str], offered: Sequence[str]) -> str:
    """The offered type that is wanted most, the earlier of equals; the first where none is wanted
    or nothing is said: an answer that can't be read tells more than none."""
    ranges = list(_ranges(",".join(accept)))
    wanted = [_quality(ranges, media_type) for media_type in offered]
    return offered[wanted.index(max(wanted))]


def _quality(ranges: Sequence[tuple[str, float]], media_type: str) -> float:
    """Of the most specific range that it is in."""
    kind = media_type.partition("/")[0]
    for name in (media_type, f"{kind}/*", "*/*"):
        found = [quality for range_, quality in ranges if range_ == name]
        if found:
            return max(found)
    return 0.0


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """What is no media range is passed over."""
    for part in accept.lower().split(","):
        matched = _RANGE.fullmatch(part)
        if matched is None:
            continue
        said = [p for p in matched[3].split(";") if p.strip().startswith("q")]
        qualities = [_QUALITY.fullmatch(p) for p in said]
        yield (
            f"{matched[1]}/{matched[2]}",
            min((float(q[1]) if q else 0.0 for q in qualities), default=1.0),
        )
