"""Places between two steps of the service at which a replica dies or stalls, once, when told to.

A place is armed by a file of its name in the replica's own folder; the file holds the signal that
the replica sends itself when it next comes by, and is gone from then on.
"""

import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from signal import Signals
from typing import TypeVar

FOLDER = "FAILPOINTS"  # the variable that names the folder

R = TypeVar("R")


class Point(Enum):
    APPEND = "between admit and append"
    MARK = "between append and mark"
    APPLIED = "between projection commit and offset commit"


def arm(folder: Path, point: Point, signal: Signals) -> None:
    """Let the next passage be met with this signal."""
    draft = folder / f"{point.name}.new"
    draft.write_text(signal.name)
    draft.rename(folder / point.name)


def is_armed(folder: Path, point: Point) -> bool:
    return (folder / point.name).exists()


def behind(folder: Path, point: Point, call: Callable[..., R]) -> Callable[..., R]:
    """`call`, reached by way of the point."""
    armed = folder / point.name

    def pass_by(*arguments: object, **named: object) -> R:
        _meet(armed)
        return call(*arguments, **named)

    return pass_by


def _meet(armed: Path) -> None:
    try:
        signal = Signals[armed.read_text()]
        armed.unlink()
    except FileNotFoundError:  # not armed, or another thread was here first
        return
    os.kill(os.getpid(), signal)
