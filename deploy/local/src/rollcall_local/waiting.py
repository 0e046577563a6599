"""Waiting in plain (not asyncio) code for a process to become ready."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from rollcall_local.errors import PlatformError
from rollcall_local.process import tail

_PERIOD = 0.02  # seconds between two looks


def until_ready(
    name: str,
    process: subprocess.Popen[bytes],
    ready: Callable[[int], bool],
    log: Path,
    within: float = 60,
) -> None:
    """Return once `ready(pid)`.

    Raises PlatformError, with the log's tail, if the process ends or is not ready in time.
    """
    deadline = time.monotonic() + within
    while not ready(process.pid):
        try:
            code = process.wait(_PERIOD)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
            raise PlatformError(_story(f"{name} was not ready in {within:g} s", log)) from None
        raise PlatformError(_story(f"{name} ended with exit code {code}", log))


def _story(headline: str, log: Path) -> str:
    return "\n".join([headline, *tail(log)])
