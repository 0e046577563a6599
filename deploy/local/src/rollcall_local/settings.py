"""What whoever runs the platform has asked for, from the environment of `rollcall up`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollcall_local import ports
from rollcall_local.errors import PlatformError

BROKERS = ("kafka", "embedded")


@dataclass(frozen=True)
class Settings:
    """`None` where this machine's own part is to be used."""

    ports: Mapping[str, int]
    broker: str | None  # one of BROKERS; None: Kafka, or the embedded one where it can't be had
    bootstrap_servers: str | None
    database_url: str | None = field(repr=False)
    smtp_url: str | None = field(repr=False)
    slack_bot_token: str | None = field(repr=False)
    slack_api_url: str | None
    slack_channel: str | None
    mail_from: str
    admin_email: str = field(repr=False)

    @classmethod
    def from_env(cls, variables: Mapping[str, str]) -> "Settings":
        """Raises PlatformError when two of them contradict each other or one is unusable."""

        def given(name: str) -> str | None:
            return variables.get(name) or None

        settings = cls(
            ports=ports.from_env(variables),
            broker=given("ROLLCALL_BROKER"),
            bootstrap_servers=given("KAFKA_BOOTSTRAP_SERVERS"),
            database_url=given("DATABASE_URL"),
            smtp_url=given("SMTP_URL"),
            slack_bot_token=given("SLACK_BOT_TOKEN"),
            slack_api_url=given("SLACK_API_URL"),
            slack_channel=given("SLACK_CHANNEL"),
            mail_from=given("MAIL_FROM") or "Rollcall <no-reply@rollcall.example>",
            admin_email=given("ROLLCALL_ADMIN_EMAIL") or "admin@example.com",
        )
        settings._check()
        return settings

    def _check(self) -> None:
        if self.broker not in (None, *BROKERS):
            raise PlatformError(f"ROLLCALL_BROKER must be kafka or embedded, not {self.broker!r}")
        if self.broker and self.bootstrap_servers:
            raise PlatformError("set ROLLCALL_BROKER or KAFKA_BOOTSTRAP_SERVERS, not both")
