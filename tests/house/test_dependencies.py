"""Each member declares exactly the distributions that it imports, and says why."""

import re
import tomllib
from pathlib import Path

import pytest
from house.imports import distribution_of, imported_names, is_standard
from house.members import BY_DISTRIBUTION, MEMBERS, ROOT, Member, normalized

# Chosen for the whole project: they need no reason beside them.
CHOSEN = {
    "confluent-kafka",
    "grpcio",
    "jinja2",
    "protobuf",
    "psycopg2-binary",
    "pytest",
    "slack-sdk",
    "sqlalchemy",
    "testcontainers",
}

# Loaded by name by the distribution on the right, so that no import shows them.
LOADED_BY = {
    "httptools": "uvicorn",
    "psycopg2-binary": "sqlalchemy",
    "uvloop": "uvicorn",
}


def test_the_workspace_has_every_member() -> None:
    workspace = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(workspace["project"]["dependencies"]) == set(BY_DISTRIBUTION)
    assert set(workspace["tool"]["uv"]["sources"]) == set(BY_DISTRIBUTION)


def _imported(member: Member) -> set[str]:
    names = {name for module in member.modules() for name in imported_names(module)}
    found = {distribution_of(name) for name in names if not is_standard(name)}
    return found - {member.distribution}


def _by_name(member: Member) -> set[str]:
    return {name for name, host in LOADED_BY.items() if host in member.dependencies}


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_what_is_imported_is_declared(member: Member) -> None:
    assert _imported(member) - member.dependencies == set()


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_what_is_declared_is_imported(member: Member) -> None:
    assert member.dependencies - _imported(member) - _by_name(member) == set()


def _requirements(pyproject: Path) -> list[tuple[str, bool]]:
    """Every third-party requirement, and whether a comment stands beside it."""
    text = pyproject.read_text().partition("\n[tool.")[0]
    lines = re.findall(r'^    "([^"]+)",[ \t]*(#[ \t]*\S.*)?$', text, re.MULTILINE)
    found = [(normalized(requirement), bool(reason)) for requirement, reason in lines]
    return [(name, reason) for name, reason in found if name not in BY_DISTRIBUTION]


@pytest.mark.parametrize(
    "pyproject",
    [ROOT / "pyproject.toml", *(m.folder / "pyproject.toml" for m in MEMBERS)],
    ids=lambda p: p.parent.name,
)
def test_a_dependency_says_why(pyproject: Path) -> None:
    assert [n for n, reason in _requirements(pyproject) if not reason and n not in CHOSEN] == []


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_every_dependency_is_read_by_the_checks_here(member: Member) -> None:
    """The reasons are comments, so they are read line by line: one requirement a line."""
    read = {name for name, _ in _requirements(member.folder / "pyproject.toml")}
    assert member.dependencies - set(BY_DISTRIBUTION) <= read


def test_every_dependency_is_locked_with_hashes() -> None:
    pins = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())
    assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []
    locked = {normalized(pin) for pin in pins if "==" in pin.splitlines()[0]}
    assert {d for m in MEMBERS for d in m.dependencies} - locked - set(BY_DISTRIBUTION) == set()


def test_the_lock_names_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert re.findall(r"\w+://\S+|^--?[a-z].*|^\S+ @ .*", lock, re.MULTILINE) == []
