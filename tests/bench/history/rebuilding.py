"""The read store filled anew: how fast, what clients notice of it, and whether it is the log's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench import stage
from bench.consumers import floor
from bench.history import generations
from bench.history.generations import Generations, NotMeasured
from bench.history.living import Living
from bench.history.questions import known
from bench.history.reporting import Figures
from bench.history.stored import Say, Store
from e2e.local_platform import Platform

FLOOR_BATCH = 5_000  # events
FLOOR_EVENTS = 200_000  # at most: their rows are in memory
KILLED = "user-management-2"
QUIET = 60.0  # seconds that reads and commands are measured for before the rebuild, and after it
NOTIFIED = 5.0  # seconds of commands that mail and Slack are sent for
_PAUSE = threading.Event()  # never set: the time that is measured


def measure(platform: Platform, store: Store, token: str, figures: Figures, say: Say) -> None:
    with generations.opened(platform, say) as asked:
        with measured("rebuilds", say):
            _full_speed(platform, asked, store, figures, say)
            _beside_clients(platform, asked, store, token, figures)
        with measured("verification", say):
            _verify(asked, store, figures, say)


def measure_deliveries(events: int, figures: Figures, say: Say) -> None:
    """On a platform of its own with mail and Slack, which would read a long log for hours."""
    with stage.platform() as platform, generations.opened(platform, say) as asked:
        store, token = Store(platform, say), platform.run("token").strip()
        store.load("delivered", events // 10, events)
        stage.start_notifying(platform)
        with Living(platform.url, token, known(platform).people):
            _PAUSE.wait(NOTIFIED)
        stage.wait_until_idle(platform)
        before = store.deliveries()
        with measured("deliveries", say):
            rebuilt = asked.rebuild(full_speed=True)
            asked.use(rebuilt.number)
            stage.wait_until_idle(platform)
            figures.delivered = (before, store.deliveries())


@contextmanager
def measured(what: str, say: Say) -> Iterator[None]:
    try:
        yield
    except NotMeasured as missing:
        say(f"{what}: not measured, {missing}")


def _full_speed(
    platform: Platform, asked: Generations, store: Store, figures: Figures, say: Say
) -> None:
    rebuilt = asked.rebuild(full_speed=True)
    figures.rebuilt = rebuilt.rate
    say(f"rebuild at full speed: {rebuilt.rate:,.0f} events/s")
    asked.drop(rebuilt.number)
    target = stage.new_database(platform, "floor")
    figures.floor = floor.rate(store.url, target, FLOOR_BATCH, most=FLOOR_EVENTS)
    say(f"its floor: {figures.floor:,.0f} events/s")


def _beside_clients(
    platform: Platform, asked: Generations, store: Store, token: str, figures: Figures
) -> None:
    """One replica is killed in the middle; the new one is put to use, the old one again, and so
    once more."""
    people, live = known(platform).people, asked.live()
    quiet, beside = (Living(platform.url, token, people) for _ in range(2))
    with quiet:
        _PAUSE.wait(QUIET)
    with beside:
        rebuilt = asked.rebuild(full_speed=False, halfway=lambda: platform.kill(KILLED))
        for number in (rebuilt.number, live) * 2:
            asked.use(number)
    store.wait_until_folded()
    asked.drop(rebuilt.number)
    with quiet:
        _PAUSE.wait(QUIET)
    figures.throttled = rebuilt.rate
    figures.quiet, figures.beside = quiet, beside


def _verify(asked: Generations, store: Store, figures: Figures, say: Say) -> None:
    """As it is, and with one row damaged."""
    figures.verified = asked.verify()
    say(f"verification: {figures.verified.rate:,.0f} rows/s")
    id_ = store.execute("SELECT id::text FROM users ORDER BY id LIMIT 1")
    name = store.execute("SELECT name FROM users WHERE id = %s", id_)
    store.execute("UPDATE users SET name = %s WHERE id = %s", f"{name} damaged", id_)
    figures.damaged = asked.verify()
    store.execute("UPDATE users SET name = %s WHERE id = %s", name, id_)
