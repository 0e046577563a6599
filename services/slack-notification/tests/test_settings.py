"""The environment, well and ill set."""

import pytest

from rollcall_service.settings import SettingsError
from rollcall_slack_notification.settings import from_env

ENVIRONMENT = {
    "DATABASE_URL": "postgresql://u:secret@127.0.0.1/rollcall",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "SLACK_BOT_TOKEN": "xoxb-secret",
}


def test_the_environment_is_read_and_secrets_are_not_shown() -> None:
    settings = from_env(ENVIRONMENT)
    assert settings.slack.api_url == "https://slack.com/api/"
    assert settings.slack.channel is None
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        from_env(ENVIRONMENT | {name: ""})


@pytest.mark.parametrize(
    ("name", "value"), [("SLACK_API_URL", "ftp://slack"), ("SLACK_CHANNEL", "bob@example.com")]
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        from_env(ENVIRONMENT | {name: value})
