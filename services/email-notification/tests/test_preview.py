"""Mails as the command line shows them."""

import json

import pytest

from rollcall_email_notification.preview import main


def test_without_a_kind_it_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "welcome           de en fr\n" in capsys.readouterr().out


def test_a_mail_in_a_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["role_granted", "--locale", "de-AT"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Subject: Ihnen wurde die Rolle auditor gegeben\nContent-Language: de\n")
    assert "Hallo Ada Lovelace," in out


def test_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["welcome", "--html"]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")


def test_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["farewell", "--json", "--locale", "xx"]) == 0
    mail = json.loads(capsys.readouterr().out)
    assert (mail["kind"], mail["locale"]) == ("farewell", "en")
    assert mail["html"].count(mail["subject"]) == 1


def test_a_kind_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["no_such"])
    assert ended.value.code == 2
    assert "invalid choice: 'no_such'" in capsys.readouterr().err
