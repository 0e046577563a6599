"""Processes under supervision: real ones, killed, failing, stubborn."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from rollcall_local import logs, orphans
from rollcall_local.child import Part
from rollcall_local.errors import PlatformError
from rollcall_local.fleet import Fleet
from rollcall_local.home import Home
from rollcall_local.probes import listens
from rollcall_local.process import Command

SERVER = """
import signal, socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
open(sys.argv[1], "w").write(str(listener.getsockname()[1]))
signal.pause()
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SERVER


class Watched:
    """A fleet of processes that tell their port in a file when they listen."""

    def __init__(self, directory: Path):
        self.home = Home(directory / "state")
        self.home.create()
        self.deaths: list[tuple[str, str]] = []
        self.said: list[str] = []
        self.fleet = Fleet(self.home, self.said.append, lambda *death: self.deaths.append(death))

    def part(self, name: str, program: str, *, vital: bool = False, stop_within: float = 5) -> Part:
        told = self.home.data / name

        async def ready(pid: int) -> bool:
            port = told.read_text() if told.exists() else ""
            return bool(port) and await listens(int(port))(pid)

        argv = (sys.executable, "-c", program, str(told))
        return Part(name, Command(argv, stop_within=stop_within), ready, vital=vital)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def within(seconds: float, test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), seconds))


async def until(condition: Callable[[], bool]) -> None:
    while True:
        if condition():
            return
        await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_killed_process_is_started_again_and_stopped_at_the_end(watched: Watched) -> None:
    async def test() -> None:
        watched.fleet.start(watched.part("server", SERVER))
        await watched.fleet.until_ready("server")
        child = watched.fleet.children["server"]
        first = child.pid
        assert first
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.pid not in (first, None))
        await watched.fleet.until_ready("server")
        assert child.why == "killed by SIGKILL"
        second = child.pid
        await watched.fleet.end("server")
        assert second
        assert gone(second)
        assert watched.fleet.children == {}

    within(20, test)


def test_a_process_that_ignores_sigterm_is_killed(watched: Watched) -> None:
    async def test() -> None:
        watched.fleet.start(watched.part("stubborn", STUBBORN, stop_within=0.2))
        await watched.fleet.until_ready("stubborn")
        pid = watched.fleet.children["stubborn"].pid
        await watched.fleet.end("stubborn")
        assert pid
        assert gone(pid)

    within(20, test)


def test_one_that_never_becomes_ready_is_named_with_the_end_of_its_log(watched: Watched) -> None:
    async def test() -> None:
        watched.fleet.start(watched.part("broken", "raise SystemExit('no such setting')"))
        with pytest.raises(PlatformError) as failure:
            await watched.fleet.until_ready("broken")
        headline, *tail = str(failure.value).splitlines()
        assert headline.startswith("broken ended again and again (exit code 1)")
        assert "no such setting" in tail
        await watched.fleet.end("broken")

    within(20, test)


def test_the_death_of_a_vital_part_is_told_and_not_repaired(watched: Watched) -> None:
    async def test() -> None:
        watched.fleet.start(watched.part("memory", SERVER, vital=True))
        await watched.fleet.until_ready("memory")
        child = watched.fleet.children["memory"]
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        await until(lambda: bool(watched.deaths))
        assert watched.deaths == [("memory", "killed by SIGKILL")]
        assert child.state == "stopped"
        await watched.fleet.end("memory")

    within(20, test)


def test_what_outlives_its_supervisor_is_ended_by_the_next(watched: Watched) -> None:
    async def test() -> None:
        watched.fleet.start(watched.part("left", SERVER))
        await watched.fleet.until_ready("left")
        assert await asyncio.to_thread(orphans.end_all, watched.home.run) == ["left"]
        await watched.fleet.end("left")

    within(20, test)


def test_a_later_process_of_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(f"[{os.getpid()}, 1.0]")
    assert orphans.end_all(tmp_path) == []


def test_a_log_is_cut_while_its_process_writes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LARGEST", 10)
    path = tmp_path / "part.log"
    with logs.open_log(path) as output:
        output.write(b"a long line\n")
        output.flush()
        logs.bound(path)
        output.write(b"next\n")
    assert path.read_bytes() == b"next\n"
    assert path.with_name("part.log.1").read_bytes() == b"a long line\n"
