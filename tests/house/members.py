"""What the workspace consists of, read from its pyproject files: the libraries and services."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Member:
    folder: Path
    distribution: str
    package: str
    dependencies: frozenset[str]

    @property
    def source(self) -> Path:
        return self.folder / "src" / self.package

    def modules(self) -> Iterator[Path]:
        return self.source.rglob("*.py")

    def __str__(self) -> str:
        return self.distribution


def normalized(requirement: str) -> str:
    """The distribution's name as package indexes spell it, without version or extras."""
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _read(pyproject: Path) -> Member:
    settings = tomllib.loads(pyproject.read_text())
    project = settings["project"]
    (source,) = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    dependencies = frozenset(normalized(d) for d in project["dependencies"])
    return Member(pyproject.parent, project["name"], Path(source).name, dependencies)


MEMBERS = [
    _read(pyproject)
    for pattern in ("libs/*", "services/*", "deploy/local")
    for pyproject in sorted(ROOT.glob(f"{pattern}/pyproject.toml"))
]
BY_DISTRIBUTION = {m.distribution: m for m in MEMBERS}
SERVICES = [m for m in MEMBERS if m.folder.parent.name == "services"]
CONTRACTS = BY_DISTRIBUTION["rollcall-contracts"]
HAND_WRITTEN = [m for m in MEMBERS if m is not CONTRACTS]


def with_members_needed(member: Member) -> list[Member]:
    """The member and those of this repository that it declares, directly or through another."""
    found = [member]
    for needed in found:
        declared = (BY_DISTRIBUTION[d] for d in sorted(needed.dependencies & set(BY_DISTRIBUTION)))
        found += [m for m in declared if m not in found]
    return found
