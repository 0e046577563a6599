"""rollcall logs"""

import argparse
import sys
import threading
from pathlib import Path

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_local.client import NotRunning
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home
from rollcall_local.process import tail

_PERIOD = 0.2  # seconds between two looks for new lines


def logs(home: Home, options: argparse.Namespace, output: Output) -> int:
    """Print the end of one log or of all, and with --follow what is appended until Ctrl-C."""
    paths = _chosen(home, options.name)
    prefixed = options.name is None
    positions = {path: path.stat().st_size for path in paths}
    for path in paths:
        _print(path, tail(path, options.lines) if options.lines else [], prefixed=prefixed)
    stopped = threading.Event()  # never set: Ctrl-C ends it
    while options.follow and not stopped.wait(_PERIOD):
        for path in positions:
            lines, positions[path] = _appended(path, positions[path])
            _print(path, lines, prefixed=prefixed)
    return exits.OK


def _chosen(home: Home, name: str | None) -> list[Path]:
    paths = {path.stem: path for path in sorted(home.logs.glob("*.log"))}
    if not paths:
        raise NotRunning("there are no logs: the platform was never started")
    if name is None:
        return list(paths.values())
    if name not in paths:
        raise PlatformError(f"there is no log of {name!r}; there are {', '.join(paths)}")
    return [paths[name]]


def _appended(path: Path, position: int) -> tuple[list[str], int]:
    """Whole lines written since `position`, and where they end. A log that was cut begins anew."""
    if path.stat().st_size < position:
        position = 0
    with path.open("rb") as file:
        file.seek(position)
        whole = file.read().rpartition(b"\n")
    text = whole[0] + whole[1]
    return text.decode(errors="replace").splitlines(), position + len(text)


def _print(path: Path, lines: list[str], *, prefixed: bool) -> None:
    prefix = f"{path.stem} | " if prefixed else ""
    for line in lines:
        sys.stdout.write(f"{prefix}{line}\n")
    sys.stdout.flush()
