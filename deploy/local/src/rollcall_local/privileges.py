"""Running Postgres when we are root, which it refuses to be.

It runs as `nobody` then. Its data directory belongs to `nobody`, but the state directory
above it is closed to everybody else; so it is given as `/proc/self/cwd`, the directory that
the process starts in and stays in, which is reached without passing through the ones above.
Its programs are read by path, so they are copied out of a virtual environment that
`nobody` cannot enter (one in /root, say).
"""

import os
import shutil
import stat
from pathlib import Path

USER = "nobody"
_COPIES = Path("/var/cache/rollcall")
_CWD = Path("/proc/self/cwd")


def unprivileged_user() -> str | None:
    """Whom to run as: None while we are nobody special ourselves."""
    return USER if os.geteuid() == 0 else None


def own_directory(path: Path) -> Path:
    """Make `path` the private directory of that user; how the user is to name it, started in it."""
    path.mkdir(mode=0o700, exist_ok=True)
    if not unprivileged_user():
        return path
    shutil.chown(path, USER)
    return _CWD if _CWD.exists() else path


def reachable(site: Path, parts: tuple[str, ...], name: str) -> Path:
    """`site`, or a directory with copies of its `parts` that the unprivileged user can read."""
    if not unprivileged_user() or all(_open_to_all(site / part) for part in parts):
        return site
    copy = _COPIES / name
    if not copy.exists():
        draft = copy.with_name(f"{name}.{os.getpid()}")
        for part in parts:
            shutil.copytree(site / part, draft / part, copy_function=_copy_readable)
        for directory in (_COPIES, draft, *(p for p in draft.rglob("*") if p.is_dir())):
            directory.chmod(0o755)
        try:
            draft.rename(copy)
        except OSError:  # another start was quicker
            shutil.rmtree(draft)
    return copy


def _copy_readable(source: str, target: str) -> str:
    shutil.copy2(source, target)
    mode = Path(target).stat().st_mode
    Path(target).chmod(0o755 if mode & stat.S_IXUSR else 0o644)
    return target


def _open_to_all(directory: Path) -> bool:
    return all(p.stat().st_mode & stat.S_IXOTH for p in (directory, *directory.parents))
