"""python -m rollcall_local.secret_files HOME DIRECTORY

The secrets of a platform in containers, at random, those that are missing: kept in HOME, and
written to DIRECTORY, which has a folder (a volume of its own) for each container that reads any.
Who may read a volume is who it is mounted for, so its files are readable by every user in there.
"""

import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from rollcall_local import certificates, credentials
from rollcall_local.home import Home
from rollcall_local.postgres import DATABASE, ROLES, SERVICE_ROLES

CLI = "cli"
KAFKA_USERS = (*(role.replace("_", "-") for role in SERVICE_ROLES), CLI)
_KAFKA = "kafka-passwords.json"
_POSTGRES_HOST, _KAFKA_HOST = "postgres", "kafka"
_READABLE = 0o444


def main(home: Home, directory: Path) -> None:
    """Raises PlatformError. What is there already, and right, stays as it is."""
    home.create()
    for name, content in _files(home):
        path = directory / name
        if not path.exists() or path.read_text() != content:
            path.unlink(missing_ok=True)
            path.write_text(content)
            path.chmod(_READABLE)


def _files(home: Home) -> Iterator[tuple[str, str]]:
    """Path → content."""
    kept = credentials.load_or_create(home, ROLES)
    yield "gateway/token-secret", kept.token_secret
    for role in ROLES:
        yield f"postgres/{role}", kept.postgres[role]
    for role in SERVICE_ROLES:
        url = f"postgresql://{role}:{kept.postgres[role]}@{_POSTGRES_HOST}:5432/{DATABASE}"
        yield f"{role.replace('_', '-')}/database-url", url
    authority = certificates.authority(home.root).read_text()
    for user, password in _kafka_passwords(home).items():
        yield f"kafka/{user}", password
        yield f"{user}/kafka-password", password
        yield f"{user}/kafka-ca.crt", authority
    yield "kafka/server.pem", certificates.server(home.root, _KAFKA_HOST)


def _kafka_passwords(home: Home) -> dict[str, str]:
    kept: dict[str, str] = home.read(_KAFKA) or {}
    passwords = {user: secrets.token_urlsafe(24) for user in KAFKA_USERS} | kept
    if passwords != kept:
        home.write(_KAFKA, passwords)
    return passwords


if __name__ == "__main__":
    main(Home(Path(sys.argv[1])), Path(sys.argv[2]))
