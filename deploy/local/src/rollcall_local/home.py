"""The state directory: `.rollcall/` in the repository, or what ROLLCALL_HOME names.

secrets.json     passwords and the token secret, mode 0600
scale.json       replicas per service, as last asked for
data/<part>/     what outlives `down`
logs/<name>.log  bounded, see logs.py
run/             of the running platform: process records and the control socket
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollcall_local.errors import PlatformError

_MARKER = "rollcall-state"
_LONGEST_SOCKET_PATH = 100  # the kernel's bound is 104 (macOS) or 108 (Linux) with the NUL


@dataclass(frozen=True)
class Home:
    root: Path

    @classmethod
    def from_env(cls, variables: Mapping[str, str]) -> "Home":
        given = variables.get("ROLLCALL_HOME")
        return cls(Path(given).expanduser().absolute() if given else _repository() / ".rollcall")

    def create(self) -> None:
        """Make the directory, readable by its owner only. Refuses one that holds other things."""
        if self.root.exists() and not (self.root / _MARKER).exists() and any(self.root.iterdir()):
            raise PlatformError(
                f"{self.root} is not empty and not Rollcall's: set ROLLCALL_HOME to another"
            )
        for directory in (self.root, self.data, self.logs, self.run):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        (self.root / _MARKER).touch(mode=0o600)

    def remove(self) -> bool:
        """Remove the directory and everything in it; False when there was none."""
        if not (self.root / _MARKER).exists():
            return False
        shutil.rmtree(self.root)
        return True

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def socket(self) -> Path:
        """The control socket; in the temporary directory where this path would be too long."""
        path = self.run / "control.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"rollcall-{os.geteuid()}-{digest}.sock"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def read(self, name: str) -> Any:
        """The JSON document `name`, or None where there is none."""
        try:
            return json.loads((self.root / name).read_text())
        except FileNotFoundError:
            return None

    def write(self, name: str, document: Any) -> None:
        """Replace the JSON document `name` whole, readable by its owner only."""
        write_private(self.root / name, json.dumps(document, indent=2) + "\n")

    def forget(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 that is either the old one or the new one, never half."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _repository() -> Path:
    """The checkout that this package is installed from, or else the working directory."""
    root = Path(__file__).resolve().parents[4]
    return root if (root / "deploy" / "local" / "pyproject.toml").exists() else Path.cwd()
