"""The import rules that contracts of import-linter (see pyproject.toml) cannot express."""

import tomllib
from pathlib import Path

import pytest
from house.imports import imported_names, is_standard, within
from house.members import HAND_WRITTEN, MEMBERS, ROOT, SERVICES, Member


def test_every_member_is_under_the_import_rules() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in rules["contracts"] if c["type"] == "layers")
    named = {name.strip() for layer in layers for name in layer.split("|")}
    assert set(rules["root_packages"]) == {m.package for m in MEMBERS} == named


def test_the_command_and_the_platform_may_import_no_service() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    forbidden = next(c["forbidden_modules"] for c in rules["contracts"] if c["type"] == "forbidden")
    assert set(forbidden) == {m.package for m in SERVICES}


def test_rollcall_is_a_namespace() -> None:
    assert not [m for m in MEMBERS if (m.folder / "src/rollcall/__init__.py").exists()]
    assert [m.distribution for m in MEMBERS if m.package == "rollcall"] == ["rollcall-contracts"]


def _domains() -> list[Path]:
    return [
        module
        for member in SERVICES
        for domain in (member.source / "domain", member.source / "domain.py")
        for module in (domain.rglob("*.py") if domain.is_dir() else [domain])
        if module.exists()
    ]


@pytest.mark.parametrize("module", _domains(), ids=lambda m: f"{m.parent.name}/{m.stem}")
def test_a_domain_imports_nothing_but_the_contracts(module: Path) -> None:
    own = ".".join(module.relative_to(ROOT).parts[3:]).partition(".domain")[0] + ".domain"
    strangers = [
        name
        for name in imported_names(module)
        if not is_standard(name) and not within(name, own, "rollcall", "google.protobuf")
    ]
    assert strangers == []


# Modules of the standard library through which a domain would reach the world.
_IMPURE = ("asyncio", "http", "logging", "os", "random", "secrets", "socket", "subprocess", "time")


@pytest.mark.parametrize("module", _domains(), ids=lambda m: f"{m.parent.name}/{m.stem}")
def test_a_domain_does_nothing_but_decide(module: Path) -> None:
    assert [name for name in imported_names(module) if within(name, *_IMPURE)] == []


@pytest.mark.parametrize("member", HAND_WRITTEN, ids=str)
def test_only_the_service_library_sets_tracing_up(member: Member) -> None:
    """The others know OpenTelemetry's API alone: whether spans are made is not their affair."""
    users = [
        module.name
        for module in member.modules()
        for name in imported_names(module)
        if within(name, "opentelemetry.sdk", "opentelemetry.exporter")
    ]
    assert set(users) <= {"tracing.py", "spans.py"}
    assert not users or member.package == "rollcall_service"


@pytest.mark.parametrize("member", HAND_WRITTEN, ids=str)
def test_only_the_events_library_speaks_to_kafka(member: Member) -> None:
    """As the contract says, and also of files outside any package, such as migrations."""
    users = [
        module.name
        for module in member.modules()
        if any(within(name, "confluent_kafka") for name in imported_names(module))
    ]
    assert not users or member.package == "rollcall_events"
