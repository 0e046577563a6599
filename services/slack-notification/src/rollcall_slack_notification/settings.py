"""What the service is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollcall_events import KafkaSettings
from rollcall_service.settings import Env, SettingsError

SERVICE = "slack-notification"
SCHEMA = "slack_notification"


@dataclass(frozen=True)
class Slack:
    """channel: one more recipient of every message, besides the admins."""

    token: str = field(repr=False)
    api_url: str = "https://slack.com/api/"
    channel: str | None = None


@dataclass(frozen=True)
class Settings:
    replica_id: str
    database_url: str = field(repr=False)
    kafka: KafkaSettings
    slack: Slack
    grpc_host: str
    grpc_port: int
    management_host: str
    management_port: int
    log_level: str


def from_env(variables: Mapping[str, str]) -> Settings:
    """Raises SettingsError."""
    env = Env(variables)
    try:
        kafka = KafkaSettings.from_env(variables)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return Settings(
        replica_id=env.replica_id(SERVICE),
        database_url=env.secret("DATABASE_URL", "postgresql://user:password@host:port/database"),
        kafka=kafka,
        slack=_slack(env),
        grpc_host=env.text("GRPC_HOST", "127.0.0.1"),
        grpc_port=env.integer("GRPC_PORT", 50051, maximum=65535),
        management_host=env.text("MANAGEMENT_HOST", "127.0.0.1"),
        management_port=env.integer("MANAGEMENT_PORT", 0, maximum=65535),
        log_level=env.text("LOG_LEVEL", "INFO"),
    )


def _slack(env: Env) -> Slack:
    api_url = env.text("SLACK_API_URL", Slack.api_url)
    if not api_url.startswith(("https://", "http://")):
        raise SettingsError("SLACK_API_URL must be an http:// or https:// address")
    channel = env.optional("SLACK_CHANNEL")
    if channel and "@" in channel:
        raise SettingsError("SLACK_CHANNEL must be a channel's id or #name")
    return Slack(env.secret("SLACK_BOT_TOKEN", "a bot's token, xoxb-…"), api_url, channel)
