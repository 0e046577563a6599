"""Passwords and secrets of one platform: made at random once, kept in the state directory."""

import secrets
from dataclasses import asdict, dataclass
from typing import Any

from rollcall_local.home import Home

_FILE = "secrets.json"


@dataclass(frozen=True)
class Credentials:
    token_secret: str  # signs bearer tokens
    postgres: dict[str, str]  # role → password
    cluster_id: str  # Kafka's; not secret, but as lasting

    def __repr__(self) -> str:
        return "Credentials(…)"  # never in a log


def load_or_create(home: Home, roles: tuple[str, ...]) -> Credentials:
    """The credentials kept in `home`, with a password for every role, made where missing."""
    kept: dict[str, Any] = home.read(_FILE) or {}
    passwords: dict[str, str] = kept.get("postgres", {})
    credentials = Credentials(
        token_secret=kept.get("token_secret") or secrets.token_urlsafe(32),
        postgres={role: secrets.token_urlsafe(24) for role in roles} | passwords,
        cluster_id=kept.get("cluster_id") or _new_cluster_id(),
    )
    if asdict(credentials) != kept:
        home.write(_FILE, asdict(credentials))
    return credentials


def token_secret(home: Home) -> str | None:
    """The secret that signs bearer tokens, or None before the first start."""
    kept = home.read(_FILE)
    return kept["token_secret"] if kept else None


def _new_cluster_id() -> str:
    """16 random bytes in base64, as Kafka wants them; its tools take a leading - for an option."""
    while (drawn := secrets.token_urlsafe(16)).startswith("-"):
        pass
    return drawn
