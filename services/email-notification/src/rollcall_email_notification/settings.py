"""What the service is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

from rollcall_events import KafkaSettings
from rollcall_service.settings import Env, SettingsError

SERVICE = "email-notification"
SCHEMA = "email_notification"
_PORTS = {"smtp": 25, "smtps": 465}


@dataclass(frozen=True)
class Smtp:
    """A mail server. tls: from the first byte; otherwise STARTTLS is used where it is offered."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = 10.0  # seconds for each step of the exchange


@dataclass(frozen=True)
class Settings:
    replica_id: str
    database_url: str = field(repr=False)
    kafka: KafkaSettings
    smtp: Smtp
    mail_from: Address
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
        smtp=smtp_from_url(env.secret("SMTP_URL", "smtp://[user:password@]host:port")),
        mail_from=_address(env.required("MAIL_FROM", "the address that mails come from")),
        grpc_host=env.text("GRPC_HOST", "127.0.0.1"),
        grpc_port=env.integer("GRPC_PORT", 50051, maximum=65535),
        management_host=env.text("MANAGEMENT_HOST", "127.0.0.1"),
        management_port=env.integer("MANAGEMENT_PORT", 0, maximum=65535),
        log_level=env.text("LOG_LEVEL", "INFO"),
    )


def smtp_from_url(url: str) -> Smtp:
    """Raises SettingsError, which does not quote the URL: it may hold a password."""
    wrong = SettingsError("SMTP_URL must be smtp:// or smtps://, [user:password@]host[:port]")
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        raise wrong from None
    if parts.scheme not in _PORTS or not parts.hostname or not port:
        raise wrong
    user, password = (unquote(v) if v else None for v in (parts.username, parts.password))
    return Smtp(parts.hostname, port, parts.scheme == "smtps", user, password)


def _address(value: str) -> Address:
    name, addr_spec = parseaddr(value)
    try:
        if "@" not in addr_spec:
            raise ValueError
        return Address(display_name=name, addr_spec=addr_spec)
    except (ValueError, IndexError):
        raise SettingsError("MAIL_FROM must be an address: Name <name@example.com>") from None
