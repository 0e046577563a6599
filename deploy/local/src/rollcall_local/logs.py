"""A log file per process, appended to by the process itself and kept within bounds."""

import shutil
from pathlib import Path
from typing import BinaryIO

LARGEST = 10_000_000  # bytes; one older file of that size is kept beside it


def open_log(path: Path) -> BinaryIO:
    """Open for appending, so that `bound` can cut the file while a process writes to it."""
    bound(path)
    return path.open("ab")


def bound(path: Path) -> None:
    """Move what a log holds to `<name>.log.1` once it is too long.

    By copying: the process goes on with the file that it has open. The few lines it writes
    in between are lost.
    """
    if path.exists() and path.stat().st_size > LARGEST:
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        with path.open("r+b") as file:
            file.truncate()
