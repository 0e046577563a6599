"""Processes that outlived their supervisor (a kill -9, say), found again by their records."""

import json
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # a process's start time, on every system

_GRACE = 5.0  # seconds between asking and killing


def record(directory: Path, name: str, pid: int) -> None:
    """Note that `pid` runs as `name`. Its start time tells it from a later one of the same pid."""
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return
    (directory / f"{name}.json").write_text(json.dumps([pid, started]))


def forget(directory: Path, name: str) -> None:
    (directory / f"{name}.json").unlink(missing_ok=True)


def end_all(directory: Path) -> list[str]:
    """End every recorded process that still runs; their names."""
    left = {}
    for path in directory.glob("*.json"):
        if process := _process(path):
            left[path.stem] = process
            process.terminate()
        path.unlink(missing_ok=True)
    _, alive = psutil.wait_procs(left.values(), timeout=_GRACE)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=_GRACE)
    return sorted(left)


def _process(path: Path) -> psutil.Process | None:
    try:
        pid, started = json.loads(path.read_text())
        process = psutil.Process(pid)
        return process if process.create_time() == started else None
    except (psutil.NoSuchProcess, ValueError):
        return None
