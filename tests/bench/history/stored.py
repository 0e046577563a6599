"""The read store and the log while the one follows the other, and rows that are damaged."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
from bench import stage
from e2e.local_platform import Platform
from faults import log

_WITHIN = 3_600.0  # seconds, for whatever is loaded to be folded
_SCHEMA = "user_management_g1"
_PAUSE = threading.Event()  # never set: between two looks

Say = Callable[[str], None]


class Store:
    def __init__(self, platform: Platform, say: Say):
        self._platform = platform
        self._say = say
        self._servers = str(platform.status()["broker"]["bootstrap_servers"])
        self.url = stage.store_url(platform)

    def load(self, label: str, users: int, events: int) -> float:
        """Seconds until so many made-up events were folded."""
        began = time.perf_counter()
        arguments = ("load", "--synthetic", str(users), "--events", str(events), "--label", label)
        subprocess.run(
            [sys.executable, "-m", "rollcall_cli", *arguments],
            env=self._platform.variables,
            check=True,
            timeout=_WITHIN,
            stdout=subprocess.DEVNULL,
        )
        self._say(f"{events:,} events are appended in {time.perf_counter() - began:.0f} s")
        self.wait_until_folded()
        self._say(f"and folded in {time.perf_counter() - began:.0f} s")
        return time.perf_counter() - began

    def wait_until_folded(self) -> None:
        """Until the read store has all that the log has now."""
        wanted = sum(log.ends(self._servers).values())
        end, told = time.monotonic() + _WITHIN, time.monotonic()
        while (stored := self._folded()) < wanted:
            if time.monotonic() > end:
                raise stage.CannotMeasure(f"{stored:,} of {wanted:,} events are folded")
            if time.monotonic() > told + 5:
                told = time.monotonic()
                self._say(f"  {stored:,} of {wanted:,} events are folded")
            _PAUSE.wait(0.1)

    def analyze(self) -> None:
        """What Postgres would do by itself within minutes."""
        self.execute("VACUUM (ANALYZE)")

    def execute(self, statement: str, *parameters: Any, schema: str = _SCHEMA) -> Any:
        """The first value that comes of it, if any does."""
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"SET search_path = {schema}")
                cursor.execute(statement, parameters)
                row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def deliveries(self) -> dict[str, str]:
        """How many there are and were attempted, by service."""
        statement = "SELECT count(*) || ', attempts ' || coalesce(sum(attempts), 0) FROM deliveries"
        return {
            service: str(self.execute(statement, schema=service.replace("-", "_")))
            for service in stage.NOTIFYING
        }

    def _folded(self) -> int:
        return int(self.execute("SELECT coalesce(sum(next_offset), 0) FROM offsets"))
