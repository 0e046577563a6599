"""Migrations only add: old and new replicas of a service work on one schema side by side. And
their files are named by their revisions, in order, so that a replica need not load them to know
that there is nothing to do."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

SERVICES = Path(__file__).resolve().parents[2] / "services"
# The last of each service that came before this rule.
_BEFORE = {"user-management": "0005", "email-notification": "0002", "slack-notification": "0002"}
_NOTHING_NEW_IS_WANTED = r"\w+ [\w\[\]]+( NOT NULL DEFAULT [^,]+| DEFAULT [^,]+)?"
_ADDS = re.compile(
    r"CREATE (TABLE|INDEX|SCHEMA|EXTENSION)\b.*"
    rf"|ALTER TABLE [\w.]+ ADD COLUMN {_NOTHING_NEW_IS_WANTED}"
    rf"(, ADD COLUMN {_NOTHING_NEW_IS_WANTED})*",
    re.DOTALL,
)


class Recorder:
    """In the place of Alembic's `op`."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def execute(self, sqltext: str) -> None:
        self.statements.append(" ".join(str(sqltext).split()))


def every() -> list[Path]:
    return sorted(SERVICES.glob("*/src/*/migrations/versions/*.py"))


def migrations() -> list[Path]:
    return [path for path in every() if path.name[:4] > _BEFORE[service_of(path)]]


def service_of(migration: Path) -> str:
    return migration.relative_to(SERVICES).parts[0]


def loaded(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"migration_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def statements_of(path: Path) -> list[str]:
    module = loaded(path)
    module.op = Recorder()
    module.upgrade()
    statements: list[str] = module.op.statements
    return statements


@pytest.mark.parametrize("path", migrations(), ids=lambda p: f"{service_of(p)}-{p.stem}")
def test_a_migration_only_adds(path: Path) -> None:
    statements = statements_of(path)
    assert statements
    assert [s for s in statements if not _ADDS.fullmatch(s)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE deliveries",
        "ALTER TABLE deliveries DROP COLUMN payload",
        "ALTER TABLE deliveries RENAME COLUMN payload TO body",
        "ALTER TABLE deliveries ADD COLUMN traceparent text NOT NULL",
        "ALTER TABLE deliveries ADD COLUMN traceparent text, DROP COLUMN payload",
        "CREATE UNIQUE INDEX one ON deliveries (recipient)",
        "UPDATE deliveries SET payload = '{}'",
    ],
)
def test_what_takes_away_is_told(statement: str) -> None:
    """A unique index does: what the release before writes may not be unique."""
    assert not _ADDS.fullmatch(statement)


@pytest.mark.parametrize("service", sorted(_BEFORE))
def test_files_are_named_by_their_revisions_in_order(service: str) -> None:
    paths = [path for path in every() if service_of(path) == service]
    named = [path.stem.split("_")[0] for path in paths]
    modules = [loaded(path) for path in paths]
    assert [module.revision for module in modules] == named
    assert [module.down_revision for module in modules] == [None, *named[:-1]]
