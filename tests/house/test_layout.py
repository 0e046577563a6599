"""What may lie where, and what may lie nowhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from house.members import CONTRACTS, HAND_WRITTEN, MEMBERS, ROOT, Member

FOLDERS = {"deploy", "libs", "protos", "services", "tests"}
FILES = {
    "LICENSE",
    "Makefile",
    "README.md",
    "buf.yaml",
    "docker-compose.yml",
    "pyproject.toml",
    "requirements.lock",
}
MADE_BY_TOOLS = {"__pycache__"}
LONGEST_FILE = 350  # lines
LARGEST_FILE = 500 * 1024  # bytes

# These record where each package was downloaded from.
LOCKS_WITH_ADDRESSES = re.compile(
    r"(uv|poetry|pdm|yarn)\.lock|pylock.*\.toml|Pipfile\.lock|package-lock\.json|pnpm-lock\.yaml"
)


def _files() -> Iterator[Path]:
    yield from (ROOT / name for name in FILES if (ROOT / name).exists())
    yield from (f for f in (ROOT / ".ci").rglob("*") if f.is_file())
    for folder in sorted(FOLDERS):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and not _generated(file):
                yield file


def _generated(file: Path) -> bool:
    parts = file.relative_to(ROOT).parts
    return any(p in MADE_BY_TOOLS or p.startswith(".") or p.endswith(".egg-info") for p in parts)


def _texts() -> Iterator[tuple[str, str]]:
    for file in _files():
        if b"\0" not in (content := file.read_bytes()):
            yield file.relative_to(ROOT).as_posix(), content.decode()


def test_nothing_else_is_at_the_top() -> None:
    visible = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert visible - FOLDERS - FILES - MADE_BY_TOOLS == set()


def test_no_lock_file_records_addresses() -> None:
    assert [f for f in _files() if LOCKS_WITH_ADDRESSES.fullmatch(f.name)] == []


def test_no_file_names_a_place_to_download_packages_from() -> None:
    address = re.compile(r"https?://\S+\.(whl|jar|pom|tgz|tar\.gz|zip)\b|--?(extra-)?index-url\b")
    assert [name for name, text in _texts() if address.search(text)] == []


def test_no_file_names_a_path_of_one_machine() -> None:
    here = "|".join(re.escape(str(path)) for path in (ROOT, Path.home()) if path.parts[1:])
    path = re.compile(rf"(?<![\w.])(({here})(?![\w-])/|/(home|Users)/\w)")
    assert [name for name, text in _texts() if path.search(text)] == []


def test_files_stay_small() -> None:
    assert [f for f in _files() if f.stat().st_size > LARGEST_FILE] == []
    written = (f for f in _files() if f.suffix == ".py" and CONTRACTS.folder not in f.parents)
    assert [f for f in written if len(f.read_text().splitlines()) > LONGEST_FILE] == []


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_a_member_is_one_typed_package_named_after_its_distribution(member: Member) -> None:
    if member in HAND_WRITTEN:
        assert member.package == member.distribution.replace("-", "_")
        assert (member.source / "__init__.py").exists()
    assert [*member.source.rglob("py.typed")]
