"""Start a service's components, wait, and stop them in reverse."""

import gc
import logging
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

log = logging.getLogger(__name__)


class Component(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


def run(components: Sequence[Component]) -> int:
    """Run until SIGTERM or SIGINT (exit code 0) or until a component's `failed` event is set (1).

    Components start in order and stop in reverse, each whatever became of the others.
    """
    wake = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: wake.set())
    started: list[Component] = []
    try:
        for component in components:
            component.start()
            started.append(component)
        log.info("started")
        _collect_rarely()
        while not wake.wait(0.5):
            if any(_failed(c) for c in started):
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


def _collect_rarely() -> None:
    """What was made at the start stays, and nearly all that is made later is freed by its count of
    references. Looking for cycles as often as is usual took a quarter of a consumer's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _failed(component: Component) -> bool:
    failed = getattr(component, "failed", None)
    return isinstance(failed, threading.Event) and failed.is_set()


def _stop(component: Component) -> None:
    try:
        component.stop()
    except Exception:  # one component's trouble must not keep the others running
        log.exception("a component did not stop cleanly")
