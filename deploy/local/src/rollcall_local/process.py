"""A program to run: how it is started, as whom, and which signal ends it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What a process must not inherit from whoever runs the platform: each is given on purpose.
_NOT_INHERITED = ("DATABASE_URL", "ROLLCALL_TOKEN_SECRET", "SLACK_BOT_TOKEN", "SMTP_URL")


@dataclass(frozen=True)
class Command:
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # added to the inherited
    cwd: Path | None = None
    user: str | None = None  # run as this user; None: as we are
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within: float = 10.0  # seconds, then SIGKILL


def python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *arguments)


def start_arguments(command: Command) -> dict[str, Any]:
    """Keyword arguments for `subprocess.Popen` and asyncio's `create_subprocess_exec`.

    A session of its own keeps the terminal's Ctrl-C from the children.
    """
    inherited = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
    arguments: dict[str, Any] = {
        "env": inherited | dict(command.env),
        "cwd": command.cwd,
        "stdin": subprocess.DEVNULL,
        "start_new_session": True,
    }
    if command.user:
        arguments |= {"user": command.user, "group": group_of(command.user), "extra_groups": []}
    return arguments


def group_of(user: str) -> int:
    import pwd  # POSIX only, like running as another user

    return pwd.getpwnam(user).pw_gid


@contextmanager
def started(command: Command, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with its output appended to `log`; stopped and reaped on the way out."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603  (our own commands)
            command.argv, stdout=output, stderr=output, **start_arguments(command)
        )
    try:
        yield process
    finally:
        stop(process, command)


def stop(process: subprocess.Popen[bytes], command: Command) -> None:
    process.send_signal(command.stop_signal)
    try:
        process.wait(command.stop_within)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail(log: Path, lines: int = 15) -> list[str]:
    """The last lines of a log, or none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64_000))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]
