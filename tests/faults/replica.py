"""user-management as it is, but for failpoints at three of its seams.

The only way to reach them: the services have no failpoint in them, and are started otherwise.
"""

import os
from pathlib import Path
from typing import Any

from faults.failpoints import FOLDER, Point, behind

from rollcall_events import Publisher
from rollcall_events.session import Session
from rollcall_user_management.__main__ import main
from rollcall_user_management.admission.marker import Marker

# What is called when the first of a point's two steps is done and the second has not begun.
SEAMS: dict[Point, tuple[type[Any], str]] = {
    Point.APPEND: (Publisher, "append"),
    Point.MARK: (Marker, "mark"),
    Point.APPLIED: (Session, "applied"),
}


def install(folder: Path) -> None:
    for point, (owner, name) in SEAMS.items():
        setattr(owner, name, behind(folder, point, getattr(owner, name)))


if __name__ == "__main__":
    install(Path(os.environ[FOLDER]))
    main()
