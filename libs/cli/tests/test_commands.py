"""The rollcall command without a platform: usage, exit codes, logs and tokens."""

import json
import threading
from pathlib import Path

import jwt
import pytest

from rollcall_cli import broker
from rollcall_cli.__main__ import main
from rollcall_cli.exits import FAILED, OK, UNREACHABLE, USAGE
from rollcall_local import client, credentials, first_user
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path / "state"))
    made = Home(tmp_path / "state")
    made.create()
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["scale", "user-management"],
        ["scale", "user-management", "0"],
        ["scale", "user-management", "17"],
        ["logs", "-n", "-1"],
    ],
)
def test_what_cannot_be_asked_is_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(arguments)
    assert ending.value.code == USAGE


@pytest.mark.parametrize(
    "arguments", [["status"], ["scale", "user-management", "3"], ["token"], ["logs"]]
)
def test_without_a_platform_the_exit_code_says_unreachable(
    home: Home, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == UNREACHABLE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1


def test_down_and_clean_have_nothing_to_do_without_a_platform(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down", "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == {"stopped": False}
    assert main(["clean", "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == {"removed": True}
    assert not home.root.exists()


def test_why_a_platform_ended_by_itself_is_told(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.write("ended.json", {"at": "2026-01-01T00:00:00Z", "reason": "embedded-broker ended"})
    assert main(["status"]) == UNREACHABLE
    assert "embedded-broker ended" in capsys.readouterr().err


def test_the_token_is_the_first_users(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    secret = credentials.load_or_create(home, ()).token_secret
    home.write(first_user.FILE, {"id": "0190a1b2-0000-7000-8000-000000000001"})
    assert main(["token"]) == OK
    token = capsys.readouterr().out.strip()
    claims = jwt.decode(token, secret, algorithms=["HS256"], audience="rollcall")
    assert claims["sub"] == "users/0190a1b2-0000-7000-8000-000000000001"
    assert claims["iss"] == "rollcall"


def test_logs_show_the_end_of_one_or_of_all(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.log("gateway-1").write_text("one\ntwo\n")
    home.log("kafka").write_text("three\n")
    assert main(["logs", "gateway-1", "-n", "1"]) == OK
    assert capsys.readouterr().out == "two\n"
    assert main(["logs"]) == OK
    assert capsys.readouterr().out == "gateway-1 | one\ngateway-1 | two\nkafka | three\n"
    assert main(["logs", "nobody"]) == FAILED
    assert "gateway-1, kafka" in capsys.readouterr().err


def test_a_wrong_setting_fails_up_in_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_PORT", "http")
    assert main(["up"]) == FAILED
    assert "GATEWAY_PORT" in capsys.readouterr().err


def test_a_mail_is_shown_as_its_service_renders_it(
    home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["mail", "preview", "welcome", "--locale", "fr"]) == OK
    assert capfd.readouterr().out.startswith("Subject: Bienvenue sur Rollcall\n")
    assert main(["mail", "preview", "no_such"]) == USAGE


@pytest.mark.parametrize("command", ["up", "down", "clean", "logs", "scale"])
def test_a_platform_in_a_network_is_not_started_and_stopped_by_the_command(
    home: Home, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_DISCOVERY", "dns")
    arguments = [command, "user-management", "3"] if command == "scale" else [command]
    assert main(arguments) == FAILED
    assert "is for what started this platform" in capsys.readouterr().err
    assert home.root.exists()


def test_in_a_network_the_token_waits_for_the_first_user(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCALL_DISCOVERY", "dns")
    secret = credentials.load_or_create(home, ()).token_secret
    waiting = threading.Timer(0.5, home.write, (first_user.FILE, {"id": "1"}))
    waiting.start()
    assert main(["token"]) == OK
    waiting.join()
    token = capsys.readouterr().out.strip()
    assert jwt.decode(token, secret, ["HS256"], audience="rollcall")["sub"] == "users/1"


def test_the_command_speaks_to_kafka_as_the_environment_says(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("only-for-this-test")
    monkeypatch.setattr(client, "status", lambda _: {"broker": {"bootstrap_servers": "kafka:9092"}})
    assert broker.settings(home).common()["security.protocol"] == "PLAINTEXT"
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "cli")
    with pytest.raises(PlatformError, match="KAFKA_SASL_PASSWORD"):
        broker.settings(home)
    monkeypatch.setenv("KAFKA_SASL_PASSWORD_FILE", str(tmp_path / "password"))
    assert broker.settings(home).common()["sasl.password"] == "only-for-this-test"
