"""A state directory's environment: ports that are free together, and nothing of the caller's."""

import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from rollcall_local.ports import DEFAULTS, RANGES, is_free

# Below every system's ephemeral ports: what was free stays free of outgoing connections.
_FIRST, _LAST = 20_000, 32_000

# What would point the platform elsewhere. ROLLCALL_BROKER stays: it chooses what is tested.
_NOT_OURS = {
    "DATABASE_URL",
    "KAFKA_BOOTSTRAP_SERVERS",
    "MAIL_FROM",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "ROLLCALL_ADMIN_EMAIL",
    "SLACK_API_URL",
    "SLACK_BOT_TOKEN",
    "SLACK_CHANNEL",
    "SMTP_URL",
}


def environment(home: Path) -> dict[str, str]:
    """The environment of a platform of its own in `home`."""
    return elsewhere() | dict(_ports()) | {"ROLLCALL_HOME": str(home)}


def elsewhere() -> dict[str, str]:
    """The caller's environment without what would point a platform elsewhere."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_OURS}


def ports_of(variables: Mapping[str, str]) -> dict[str, int]:
    return {name: int(variables[name]) for name in DEFAULTS}


def _ports() -> Iterator[tuple[str, str]]:
    port = _free_together(sum(RANGES.get(name, 1) for name in DEFAULTS))
    for name in DEFAULTS:
        yield name, str(port)
        port += RANGES.get(name, 1)


def _free_together(count: int) -> int:
    """The first of `count` consecutive free ports."""
    for _ in range(100):
        first = random.randrange(_FIRST, _LAST - count)
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise AssertionError(f"no {count} consecutive free ports")
