"""A failpoint is met once, only when armed, and by nobody but the test's own entry point."""

import subprocess
import sys
from pathlib import Path
from signal import SIGKILL, Signals

import pytest
from faults.failpoints import Point, arm, behind, is_armed
from faults.replica import SEAMS

ROOT = Path(__file__).parents[2]
_PASSES = """
import sys
from pathlib import Path
from faults.failpoints import Point, behind
step = behind(Path(sys.argv[1]), Point.APPEND, lambda: print("passed", flush=True))
step()
"""


def _pass_by(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PASSES, str(folder)],
        env={"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_an_armed_point_ends_the_process_before_the_next_step_and_only_once(tmp_path: Path) -> None:
    arm(tmp_path, Point.APPEND, SIGKILL)
    killed, after = _pass_by(tmp_path), _pass_by(tmp_path)
    assert (killed.returncode, killed.stdout) == (-SIGKILL, "")
    assert (after.returncode, after.stdout) == (0, "passed\n")
    assert not is_armed(tmp_path, Point.APPEND)


@pytest.mark.parametrize("other", [Point.MARK, Point.APPLIED])
def test_a_point_that_is_not_armed_is_passed_by(tmp_path: Path, other: Point) -> None:
    arm(tmp_path, other, Signals.SIGKILL)
    assert behind(tmp_path, Point.APPEND, lambda given: given)("passed") == "passed"
    assert is_armed(tmp_path, other)


def test_every_point_has_a_seam_that_is_there() -> None:
    assert SEAMS.keys() == set(Point)
    for owner, name in SEAMS.values():
        assert callable(vars(owner)[name])


def test_what_is_installed_knows_no_failpoint() -> None:
    sources = [f for part in ("libs", "services", "deploy") for f in (ROOT / part).rglob("*.py")]
    assert len(sources) > 100
    assert [f.name for f in sources if "failpoint" in f.read_text().lower()] == []
