"""Postgres as root: it runs as nobody, which can read neither our home nor our data."""

import os
import stat
from pathlib import Path

import pytest

from rollcall_local import privileges

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: otherwise nothing is done")


def test_programs_that_nobody_can_reach_stay_where_they_are() -> None:
    assert privileges.reachable(Path("/usr"), ("bin",), "unused") == Path("/usr")


def test_programs_in_a_closed_directory_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, copies = tmp_path / "site", tmp_path / "copies"
    (site / "server" / "bin").mkdir(parents=True)
    program = site / "server" / "bin" / "program"
    program.write_text("")
    program.chmod(0o700)
    site.chmod(0o700)
    monkeypatch.setattr(privileges, "_COPIES", copies)
    copy = privileges.reachable(site, ("server",), "server-1.0")
    assert copy == copies / "server-1.0"
    for path in (copies, copy, copy / "server" / "bin", copy / "server" / "bin" / "program"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    program.unlink()
    assert privileges.reachable(site, ("server",), "server-1.0") == copy


def test_a_data_directory_is_nobodys_and_private(tmp_path: Path) -> None:
    privileges.own_directory(tmp_path / "data")
    found = (tmp_path / "data").stat()
    assert found.st_uid != 0
    assert stat.S_IMODE(found.st_mode) == 0o700
