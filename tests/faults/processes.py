"""A process that is started again whenever it ends."""

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGCONT, Signals

from support.family import send_all

from rollcall_local.process import Command, start_arguments, stop

_PAUSE = 0.05  # seconds before it is started again


class Kept:
    """Keeps a command running from `start` to `stop`.

    restarts: how often it ended by itself. ended_at: when it last did (time.monotonic).
    """

    def __init__(self, command: Command, log: Path, ready: Callable[[int], bool]):
        self.restarts = 0
        self.ended_at = 0.0
        self._command = command
        self._log = log
        self._ready = ready
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._process = self._spawn()
        self._thread = threading.Thread(target=self._keep, name=log.stem, daemon=True)
        self._thread.start()

    def is_ready(self) -> bool:
        return self._ready(self._process.pid)

    def send(self, signal: Signals) -> None:
        self._process.send_signal(signal)

    def send_all(self, signal: Signals) -> None:
        """To it, and to all that it has started."""
        send_all(self._process.pid, signal)

    def end(self) -> None:
        """Ask it to end, as whoever runs it would; it is started again."""
        self.send(self._command.stop_signal)

    def stop(self) -> None:
        """End it for good, stalled or not."""
        with self._starting:
            self._stopping.set()
        self.send_all(SIGCONT)
        stop(self._process, self._command)
        self._thread.join()

    def _keep(self) -> None:
        while True:
            self._process.wait()
            self.ended_at = time.monotonic()
            if self._stopping.wait(_PAUSE):
                return
            with self._starting:
                if self._stopping.is_set():
                    return
                self._process = self._spawn()
                self.restarts += 1

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                self._command.argv, stdout=output, stderr=output, **start_arguments(self._command)
            )
