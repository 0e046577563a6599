"""How a client shows Kafka who it is, and knows that it speaks to Kafka."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
# What would be ignored without the protocol that it belongs to.
_OF_TLS = ("KAFKA_CA_FILE",)
_OF_SASL = (
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_SASL_PASSWORD_FILE",
)


@dataclass(frozen=True)
class Security:
    """ca_file: PEM of who signed the brokers' certificates; None: those the system trusts."""

    protocol: str = "PLAINTEXT"
    ca_file: str | None = None
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, variables: Mapping[str, str]) -> "Security":
        """Raises ValueError with one line that says what to set, and quotes no password."""
        protocol = _one_of(variables, "KAFKA_SECURITY_PROTOCOL", PROTOCOLS)
        tls, sasl = protocol.endswith("SSL"), protocol.startswith("SASL")
        unused = (() if tls else _OF_TLS) + (() if sasl else _OF_SASL)
        if given := [name for name in unused if variables.get(name)]:
            raise ValueError(f"{given[0]} is set, but KAFKA_SECURITY_PROTOCOL is {protocol}")
        ca_file = variables.get("KAFKA_CA_FILE") or None
        if ca_file:
            _read("KAFKA_CA_FILE", ca_file)
        if not sasl:
            return cls(protocol, ca_file)
        mechanism = _one_of(variables, "KAFKA_SASL_MECHANISM", MECHANISMS)
        username = variables.get("KAFKA_SASL_USERNAME")
        if not username:
            raise ValueError(f"KAFKA_SASL_USERNAME is not set: {protocol} needs it")
        return cls(protocol, ca_file, mechanism, username, _password(variables))

    def client(self) -> dict[str, str]:
        """The client's settings."""
        settings = {
            "security.protocol": self.protocol,
            "ssl.ca.location": self.ca_file,
            "sasl.mechanism": self.mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
        }
        return {name: value for name, value in settings.items() if value is not None}


def _one_of(variables: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """The variable's value; the first one known if it is not set."""
    value = variables.get(name) or known[0]
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    return value


def _password(variables: Mapping[str, str]) -> str:
    password = variables.get("KAFKA_SASL_PASSWORD")
    file = variables.get("KAFKA_SASL_PASSWORD_FILE")
    if bool(password) == bool(file):
        raise ValueError("set one of KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE")
    found = password or _read("KAFKA_SASL_PASSWORD_FILE", file or "").rstrip("\r\n")
    if not found:
        raise ValueError("KAFKA_SASL_PASSWORD_FILE is an empty file")
    return found


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: {path} can't be read: {type(error).__name__}") from None
