"""What a module imports, and which distribution that comes from."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from house.members import MEMBERS, normalized

_FIRST_PARTY = {m.package: m.distribution for m in MEMBERS}


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names, as long as the statement tells; relative imports stay inside the package.

    A wheel that holds a program and not a library is found by find_spec, which counts as well.
    """
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("find_spec"):
            yield from (str(a.value) for a in node.args if isinstance(a, ast.Constant))


def is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def within(name: str, *packages: str) -> bool:
    return any(name == p or name.startswith(f"{p}.") for p in packages)


@cache
def distribution_of(name: str) -> str:
    """The installed distribution that ships the module; several may share a namespace."""
    top = name.partition(".")[0]
    if top in _FIRST_PARTY:
        return _FIRST_PARTY[top]
    candidates = set(_providers().get(top, ()))
    assert candidates, f"{name} belongs to no installed distribution"
    if len(candidates) == 1:
        return normalized(candidates.pop())
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        found = {d for d in candidates if _ships(d, "/".join(parts[:length]))}
        if len(found) == 1:
            return normalized(found.pop())
    raise AssertionError(f"{name} may come from any of {sorted(candidates)}")


@cache
def _providers() -> dict[str, list[str]]:
    return {top: list(names) for top, names in packages_distributions().items()}


@cache
def _files(name: str) -> frozenset[str]:
    return frozenset(file.as_posix() for file in distribution(name).files or ())


def _ships(name: str, path: str) -> bool:
    return any(file == f"{path}.py" or file.startswith(f"{path}/") for file in _files(name))
