"""The environment, well and ill set."""

import pytest

from rollcall_email_notification.settings import Smtp, from_env, smtp_from_url
from rollcall_service.settings import SettingsError

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://u:secret@127.0.0.1/rollcall",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "SMTP_URL": "smtp://127.0.0.1:1025",
    "MAIL_FROM": "Rollcall <noreply@rollcall.example>",
}


def test_the_environment_is_read_and_secrets_are_not_shown() -> None:
    settings = from_env(ENVIRONMENT | {"REPLICA_ID": "email-notification-2"})
    assert settings.replica_id == "email-notification-2"
    assert settings.smtp == Smtp("127.0.0.1", 1025)
    assert str(settings.mail_from) == "Rollcall <noreply@rollcall.example>"
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        from_env(ENVIRONMENT | {name: ""})


@pytest.mark.parametrize(
    ("url", "smtp"),
    [
        ("smtp://mail.example", Smtp("mail.example", 25)),
        ("smtps://mail.example", Smtp("mail.example", 465, tls=True)),
        ("smtp://a%40b:p%2Fw@mail.example:587", Smtp("mail.example", 587, False, "a@b", "p/w")),
        ("smtp://[::1]:25", Smtp("::1", 25)),
    ],
)
def test_smtp_urls(url: str, smtp: Smtp) -> None:
    assert smtp_from_url(url) == smtp
    assert "p/w" not in repr(smtp_from_url(url))


@pytest.mark.parametrize(
    "url", ["mail.example:25", "http://mail.example:25", "smtp://:25", "smtp://u:pw@h:port"]
)
def test_wrong_smtp_urls_are_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as error:
        smtp_from_url(url)
    assert url not in str(error.value)


@pytest.mark.parametrize("value", ["Rollcall", "a@b@c", "@", "x <a b@c>"])
def test_a_wrong_sender_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="MAIL_FROM"):
        from_env(ENVIRONMENT | {"MAIL_FROM": value})
