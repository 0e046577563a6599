"""Reading the environment: secrets from files, and the name of a replica."""

import os
import socket
from pathlib import Path

import pytest

from rollcall_service.settings import Env, SettingsError


def test_a_secret_is_the_variable_or_what_the_file_holds(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from the file\n")
    assert Env({"KEY": "given"}).secret("KEY") == "given"
    assert Env({"KEY_FILE": str(file)}).secret("KEY") == "from the file"
    assert Env({"KEY": "", "KEY_FILE": str(file)}).secret("KEY") == "from the file"


def test_a_secret_that_is_missing_twice_there_or_unreadable_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for variables, said in (
        ({}, "KEY is not set: a key"),
        ({"KEY": "hidden", "KEY_FILE": str(empty)}, "set one of KEY and KEY_FILE"),
        ({"KEY_FILE": str(empty)}, "KEY_FILE is an empty file"),
        (
            {"KEY_FILE": str(tmp_path / "none")},
            "KEY_FILE names what can't be read: FileNotFoundError",
        ),
    ):
        with pytest.raises(SettingsError, match=said) as refused:
            Env(variables).secret("KEY", "a key")
        assert "hidden" not in str(refused.value)


def test_replicas_have_different_names_on_every_machine() -> None:
    assert Env({"REPLICA_ID": "gateway-1"}).replica_id("gateway") == "gateway-1"
    found = Env({}).replica_id("gateway")
    assert found == f"gateway-{socket.gethostname()}-{os.getpid()}"
