"""Each member installs, imports and starts with what it declares and nothing else.

One environment serves development and would hide a dependency that a service forgot to declare.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from house.members import HAND_WRITTEN, MEMBERS, ROOT, SERVICES, Member, with_members_needed

BIN = Path(sys.executable).parent
INSTALL_TIMEOUT = 300  # seconds; a download, where the package cache is empty

# Imports every module of the package named on the command line. An Alembic env.py runs migrations
# when it is imported, and a __main__ may run the program: both are started elsewhere.
IMPORT_ALL = """
import importlib, pathlib, sys
package = importlib.import_module(sys.argv[1])
folder = pathlib.Path(package.__path__[0])
for path in sorted(folder.rglob("*.py")):
    module = path.relative_to(folder.parent).with_suffix("")
    if module.parts[-2:] != ("migrations", "env") and module.name not in ("__init__", "__main__"):
        importlib.import_module(".".join(module.parts))
"""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The members as anyone else would install them, by distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    for member in MEMBERS:
        build = ("build", "-t", "wheel", "-d", folder)
        _run(BIN / "hatchling", *build, cwd=member.folder).check_returncode()
    return {m.distribution: _wheel(folder, m) for m in MEMBERS}


def _wheel(folder: Path, member: Member) -> Path:
    (found,) = folder.glob(member.distribution.replace("-", "_") + "-*.whl")
    return found


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False
    )


def _install(member: Member, wheels: dict[str, Path], venv: Path) -> Path:
    """A fresh environment with the member, the members it declares, and the locked versions."""
    uv = BIN / "uv"
    _run(uv, "venv", "--python", sys.executable, venv, cwd=venv.parent).check_returncode()
    python = venv / "bin/python"
    chosen = [wheels[m.distribution] for m in with_members_needed(member)]
    locked = ("-c", ROOT / "requirements.lock")
    answer = _run(uv, "pip", "install", "--python", python, *locked, *chosen, cwd=venv.parent)
    assert answer.returncode == 0, answer.stderr
    return python


def _isolated(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run in the member's environment, with no variable set and outside the repository."""
    return subprocess.run(
        [python, *arguments],
        cwd=python.parent,
        env={},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("member", HAND_WRITTEN, ids=str)
def test_installs_imports_and_starts_alone(
    member: Member, wheels: dict[str, Path], tmp_path: Path
) -> None:
    python = _install(member, wheels, tmp_path / "venv")
    imported = _isolated(python, "-W", "error", "-c", IMPORT_ALL, member.package)
    assert imported.returncode == 0, imported.stderr
    if member in SERVICES:
        _refuses_to_start_unconfigured(python, member)


def _refuses_to_start_unconfigured(python: Path, member: Member) -> None:
    """It gets as far as its settings, and says in one line which one is missing."""
    started = _isolated(python, "-m", member.package)
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)+ is not set\b.*\n", started.stderr), started.stderr
    assert started.returncode == 2
