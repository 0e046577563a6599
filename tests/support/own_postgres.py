"""A Postgres of a test's own, to be stopped, put back to an earlier state, and failed over."""

import shutil
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psycopg2

from rollcall_local import postgres
from rollcall_local.home import Home
from rollcall_local.ports import free_port
from rollcall_local.process import started
from rollcall_local.waiting import until_ready


class OwnPostgres:
    """url: of the role of user-management, the same after each start."""

    def __init__(self, directory: Path):
        self.url = ""
        self._directory = directory
        self._data = Home(directory).data / "postgres"
        self._copy = directory / "data" / "copy"
        self._port = free_port()
        self._running = ExitStack()

    def start(self) -> None:
        server = self._running.enter_context(postgres.running(self._directory, self._port))
        self.url = server.url("user_management")
        self._superuser = server.url()

    def stop(self) -> None:
        self._running.close()

    def restart(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.stop()
        meanwhile()
        self.start()

    def save(self) -> None:
        subprocess.run(["cp", "-a", self._data, self._copy], check=True)

    def put_back(self) -> None:
        shutil.rmtree(self._data)
        self._copy.rename(self._data)

    def start_as_standby(self) -> None:
        (self._data / "standby.signal").touch()
        command, log = postgres.command(self._data, self._port), self._directory / "standby.log"
        process = self._running.enter_context(started(command, log))
        until_ready("standby", process, lambda pid: postgres.is_ready(self._data, pid), log)

    def promote(self) -> None:
        connection = psycopg2.connect(self._superuser)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_promote()")
            assert cursor.fetchone() == (True,)
        connection.close()
