"""Apache Kafka's jars: pinned by coordinates and sha256, cached per user, checked at each start.

The list is complete and exact, so that nothing is resolved here and whichever tool downloads
(jgo, or mvn where jgo does not manage) brings the same files.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from rollcall_local import maven
from rollcall_local.errors import PlatformError, Unavailable

KAFKA = "4.3.1"
_VERIFIED = "verified.json"  # jar → [size, mtime in ns] of the file that had the pinned hash


class JarMismatch(PlatformError):
    """A jar is not the one that was pinned. Never a reason to fall back: somebody must look."""


@dataclass(frozen=True)
class Pin:
    sha256: str
    group: str
    artifact: str
    version: str

    @property
    def jar(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def pins() -> list[Pin]:
    """Kafka and everything it needs at run time: lines of `sha256  group:artifact:version`."""
    lines = (files("rollcall_local") / "kafka_jars.sha256").read_text().splitlines()
    return [Pin(sha256, *coordinates.split(":")) for sha256, coordinates in map(str.split, lines)]


def cache_directory(variables: Mapping[str, str]) -> Path:
    """Where all checkouts of this user keep the jars."""
    base = variables.get("XDG_CACHE_HOME")
    root = Path(base) if base else Path.home() / ".cache"
    return root / "rollcall" / f"kafka-{KAFKA}"


def provide(directory: Path, pinned: list[Pin], say: Callable[[str], None]) -> None:
    """See to it that `directory` has exactly the pinned jars; download them if it does not exist.

    Raises JarMismatch naming the jar that is unknown or differs, Unavailable when they cannot
    be downloaded.
    """
    if not directory.is_dir():
        say("downloading Apache Kafka's jars, once for this user")
        _download(directory, pinned)
    verify(directory, pinned)


def verify(directory: Path, pinned: list[Pin]) -> None:
    """Raise JarMismatch unless `directory` has exactly the pinned jars.

    A file that is unchanged by size and modification time since it was last hashed is not
    hashed again: this runs at each start.
    """
    present = {path.name for path in directory.glob("*.jar")}
    if strangers := present - {pin.jar for pin in pinned}:
        raise JarMismatch(f"unknown jar {min(strangers)} in {directory}: remove that directory")
    known = _known(directory)
    seen = {pin.jar: _check(directory, pin, known.get(pin.jar)) for pin in pinned}
    if seen != known:
        _remember(directory, seen)


def _check(directory: Path, pin: Pin, known: list[int] | None) -> list[int]:
    path = directory / pin.jar
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise JarMismatch(f"jar {pin.jar} is missing: remove {directory}") from None
    mark = [stat.st_size, stat.st_mtime_ns]
    if mark != known and hashlib.sha256(path.read_bytes()).hexdigest() != pin.sha256:
        raise JarMismatch(f"jar {pin.jar} is not the pinned one (sha256 differs): {path}")
    return mark


def _known(directory: Path) -> dict[str, list[int]]:
    try:
        known: dict[str, list[int]] = json.loads((directory / _VERIFIED).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return known


def _remember(directory: Path, seen: dict[str, list[int]]) -> None:
    descriptor, draft = tempfile.mkstemp(dir=directory)
    with os.fdopen(descriptor, "w") as file:
        json.dump(seen, file)
    Path(draft).replace(directory / _VERIFIED)


def _download(directory: Path, pinned: list[Pin]) -> None:
    """Fetch into a directory beside it and move it into place whole: two may do it at once."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="download-", dir=directory.parent))
    try:
        maven.fetch([(pin.group, pin.artifact, pin.version) for pin in pinned], draft)
        verify(draft, pinned)
        draft.chmod(0o755)
        draft.rename(directory)
    except OSError as error:
        if not directory.is_dir():  # else another start was quicker
            raise Unavailable(f"Kafka's jars could not be stored: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
