"""CPU time of processes, from Linux's /proc."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")  # a second

KNOWN = (_PROC / "stat").exists()
LOAD = "load"  # this process: the load generator


@dataclass(frozen=True)
class Spent:
    """CPU seconds of each group of processes, and of everything on this machine."""

    groups: Mapping[str, float]
    machine: float

    def __sub__(self, earlier: "Spent") -> "Spent":
        groups = {name: used - earlier.groups[name] for name, used in self.groups.items()}
        return Spent(groups, self.machine - earlier.machine)


def spent(groups: Mapping[str, list[int]]) -> Spent:
    """groups: process ids by name. Children count with their parents, those that ended too."""
    processes = {process.pid: process for process in _processes()}
    seconds = {
        name: sum(p.seconds for p in processes.values() if _is_of(p, set(pids), processes))
        for name, pids in groups.items()
    }
    return Spent(seconds | {LOAD: time.process_time()}, _machine())


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    seconds: float  # its own, and of its children that ended


def _processes() -> Iterator[_Process]:
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            try:
                text = (folder / "stat").read_text()
            except OSError:  # it ended just now
                continue
            # proc(5); the name, in parentheses, may hold anything.
            fields = text.rpartition(")")[2].split()
            parent, times = int(fields[1]), map(int, fields[11:15])
            yield _Process(int(folder.name), parent, sum(times) / _TICKS)


def _is_of(process: _Process, pids: set[int], processes: Mapping[int, _Process]) -> bool:
    """Whether it or one of its ancestors is among `pids`."""
    if process.pid in pids:
        return True
    parent = processes.get(process.parent)
    return parent is not None and _is_of(parent, pids, processes)


def _machine() -> float:
    """Busy seconds of all cores together."""
    line = (_PROC / "stat").read_text().partition("\n")[0]
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS
