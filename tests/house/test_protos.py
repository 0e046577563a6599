"""The protos, the stubs generated from them, and what has been published already."""

import subprocess
import sys
from pathlib import Path
from shutil import copy, copytree

from house.members import CONTRACTS, ROOT

BUF = str(Path(sys.executable).parent / "buf")
BASELINE = Path(__file__).parent / "protos-baseline.binpb"


def _files(folder: Path) -> dict[str, str]:
    found = [f for f in folder.rglob("*") if f.is_file() and f.suffix != ".pyc"]
    return {f.relative_to(folder).as_posix(): f.read_text() for f in found}


def _breaking(protos: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BUF, "breaking", str(protos), "--against", str(BASELINE)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _edited_copy(folder: Path, file: str, old: str, new: str) -> Path:
    copytree(ROOT / "protos", folder / "protos")
    copy(ROOT / "buf.yaml", folder)
    proto = folder / "protos/rollcall/users/v1" / file
    text = proto.read_text()
    assert text.count(old) == 1
    proto.write_text(text.replace(old, new))
    return folder


def test_committed_stubs_are_what_the_protos_generate(tmp_path: Path) -> None:
    # -o: the environment is the one that runs this, never installed anew in the middle of a test.
    command = ["make", "-o", ".venv/.installed", "protos", f"STUBS={tmp_path}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    committed = {n: t for n, t in _files(CONTRACTS.folder / "src").items() if "py.typed" not in n}
    assert _files(tmp_path) == committed


def test_protos_break_nothing_published() -> None:
    assert _breaking(ROOT).stdout == ""


def test_a_changed_field_number_is_refused(tmp_path: Path) -> None:
    edited = _edited_copy(
        tmp_path, "events.proto", "optional string email = 1;", "optional string email = 9;"
    )
    answer = _breaking(edited)
    assert answer.returncode == 100
    assert 'Previously present field "1" with name "email" on message "Person"' in answer.stdout


def test_a_removed_rpc_is_refused(tmp_path: Path) -> None:
    rpc = "  rpc DeleteUser(DeleteUserRequest) returns (CommandResult);\n"
    answer = _breaking(_edited_copy(tmp_path, "commands.proto", rpc, ""))
    assert answer.returncode == 100


def test_a_new_field_is_welcome(tmp_path: Path) -> None:
    edited = _edited_copy(
        tmp_path,
        "events.proto",
        "  optional string email = 1;",
        "  optional string email = 1;\n  optional string pronouns = 90;",
    )
    assert _breaking(edited).returncode == 0
