"""Start a service's components, wait, and stop them in reverse."""

import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Protocol

log = logging.getLogger(__name__)


class Component(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


def run(components: Sequence[Component]) -> int:
    """Run until SIGTERM or SIGINT (exit code 0), or until a component's `failed` event is set or a
    thread has ended by an exception (1): whoever restarts the process has something that works.

    Components start in order and stop in reverse, each whatever became of the others.
    """
    # An Event that a signal's handler sets may be locked by the very thread that it interrupts.
    asked: SimpleQueue[int] = SimpleQueue()
    broken = threading.Event()
    threading.excepthook = partial(_thread_ended, broken)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.put(number))
    started: list[Component] = []
    try:
        for component in components:
            component.start()
            started.append(component)
        log.info("started")
        _collect_rarely()
        while not _any(asked, within=0.5):
            if broken.is_set() or any(_failed(c) for c in started):
                return 1
        return 0
    finally:
        log.info("stopping")
        for component in reversed(started):
            _stop(component)


def main(build: Callable[[], Sequence[Component]]) -> int:
    """Build and run a service; wrong settings end it with one line and exit code 2."""
    try:
        components = build()
    except ValueError as error:  # SettingsError, or a library's refusal of a setting
        sys.stderr.write(f"{error}\n")
        return 2
    return run(components)


def _any(asked: SimpleQueue[int], within: float) -> bool:
    with suppress(Empty):
        asked.get(timeout=within)
        return True
    return False


def _collect_rarely() -> None:
    """What was made at the start stays, and nearly all that is made later is freed by its count of
    references. Looking for cycles as often as is usual took a quarter of a consumer's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _thread_ended(broken: threading.Event, hook: threading.ExceptHookArgs) -> None:
    """Python's own words would quote the exception's message."""
    broken.set()
    name = {"thread_name": hook.thread.name if hook.thread else None}
    log.critical("a thread ended", exc_info=hook.exc_value or True, extra=name)


def _failed(component: Component) -> bool:
    failed = getattr(component, "failed", None)
    return isinstance(failed, threading.Event) and failed.is_set()


def _stop(component: Component) -> None:
    try:
        component.stop()
    except Exception:  # one component's trouble must not keep the others running
        log.exception("a component did not stop cleanly")
