"""The memory of processes, from Linux's /proc, sampled while something happens."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

_PERIOD = 0.2  # seconds


def resident(pids: Sequence[int]) -> float:
    """MiB of all of them together."""
    return sum(_of(pid) for pid in pids) / 1024


def _of(pid: int) -> int:
    """KiB; 0 where the process has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in text.splitlines() if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(line.split()[1])


class Sampled:
    """`with Sampled(groups) as memory:`; afterwards `before` and `most` are MiB of each group."""

    def __init__(self, groups: Mapping[str, Sequence[int]]):
        self._groups = groups
        self.before = {name: resident(pids) for name, pids in groups.items()}
        self.most = dict(self.before)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Sampled":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(_PERIOD):
            for name, pids in self._groups.items():
                self.most[name] = max(self.most[name], resident(pids))
