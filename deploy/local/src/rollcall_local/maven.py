"""Downloading artifacts by Maven coordinates: with jgo, or with `mvn` where jgo cannot."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rollcall_local.errors import Unavailable

if TYPE_CHECKING:
    from jgo.maven import Artifact

Coordinates = tuple[str, str, str]  # group, artifact, version

_AT_ONCE = 8
_ATTEMPTS = 3
_TIMEOUT = 20  # seconds without a byte
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


def fetch(wanted: Sequence[Coordinates], directory: Path) -> None:
    """Put the jar of each of `wanted`, and no other, into `directory`. Raises Unavailable."""
    try:
        _with_jgo(wanted, directory)
    except Unavailable:
        if not shutil.which("mvn"):
            raise
        _with_mvn(wanted, directory)


def _with_jgo(wanted: Sequence[Coordinates], directory: Path) -> None:
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext
    except ImportError as error:
        raise Unavailable("the jgo package is not installed") from error
    with tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as scratch:
        # Mirrors of the user's own come first. Nothing is taken from or left in ~/.m2.
        mirrors = GlobalSettings.load().repositories
        context = MavenContext(
            repo_cache=Path(scratch),
            remote_repos={**mirrors, "central": MAVEN_CENTRAL_URL},
            timeout=_TIMEOUT,
        )

        def get(coordinates: Coordinates) -> None:
            group, artifact, version = coordinates
            component = context.project(group, artifact).at_version(version)
            path = _persistently(component.artifact())
            path.replace(directory / path.name)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(get, wanted))


def _persistently(artifact: "Artifact") -> Path:
    import requests

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return artifact.resolve()
        except (requests.RequestException, RuntimeError) as error:
            if artifact.cached_path:
                artifact.cached_path.unlink(missing_ok=True)  # half a file
            if attempt == _ATTEMPTS:
                raise Unavailable("Kafka's jars could not be downloaded: no network?") from error
    raise AssertionError("unreachable")


def _with_mvn(wanted: Sequence[Coordinates], directory: Path) -> None:
    pom = directory / "pom.xml"
    pom.write_text(_pom(wanted))
    arguments = ["mvn", "-q", "-B", "-C", "-f", str(pom), _COPY]
    options = [f"-DoutputDirectory={directory}", "-DexcludeTransitive=true"]
    try:
        done = subprocess.run(  # noqa: S603
            [*arguments, *options], capture_output=True, timeout=600, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable("mvn took more than 10 minutes to download Kafka's jars") from error
    finally:
        pom.unlink()
    if done.returncode:
        raise Unavailable("neither jgo nor mvn could download Kafka's jars: no network?")


def _pom(wanted: Sequence[Coordinates]) -> str:
    dependencies = "".join(
        f"<dependency><groupId>{escape(group)}</groupId><artifactId>{escape(artifact)}</artifactId>"
        f"<version>{escape(version)}</version></dependency>"
        for group, artifact, version in wanted
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>rollcall</groupId>"
        "<artifactId>kafka</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
