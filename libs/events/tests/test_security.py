"""What a service is told about Kafka's security. A real broker is asked in tests/manifests."""

from pathlib import Path

import pytest

from rollcall_events import KafkaSettings

SERVERS = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9093"}
SASL = SERVERS | {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "someone"}


def client(variables: dict[str, str]) -> dict[str, str]:
    return KafkaSettings.from_env(variables).security.client()


def test_without_a_word_about_it_nothing_is_secured() -> None:
    assert client(SERVERS) == {"security.protocol": "PLAINTEXT"}


def test_a_password_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("a certificate")
    ca = {"KAFKA_CA_FILE": str(tmp_path / "ca.crt"), "KAFKA_SASL_PASSWORD": "hidden"}
    settings = KafkaSettings.from_env(SASL | ca)
    assert settings.security.client() == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(tmp_path / "ca.crt"),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "someone",
        "sasl.password": "hidden",
    }
    assert settings.security.client().items() <= settings.common().items()
    assert "hidden" not in repr(settings)


def test_a_password_from_a_file_ends_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" hidden \n")
    variables = SASL | {"KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password")}
    assert client(variables)["sasl.password"] == " hidden "


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL must be one of"),
        ({"KAFKA_CA_FILE": "/ca.crt"}, "KAFKA_CA_FILE is set, but"),
        ({"KAFKA_SASL_PASSWORD": "hidden"}, "KAFKA_SASL_PASSWORD is set, but"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_CA_FILE": "/none/ca.crt"},
            "KAFKA_CA_FILE: /none/ca.crt can't be read: FileNotFoundError",
        ),
        (SASL | {"KAFKA_SASL_USERNAME": ""}, "KAFKA_SASL_USERNAME is not set"),
        (SASL, "set one of KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE"),
        (SASL | {"KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM must be one of"),
        (SASL | {"KAFKA_SASL_PASSWORD_FILE": "/dev/null"}, "is an empty file"),
    ],
)
def test_what_cannot_be_meant_is_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        KafkaSettings.from_env(SERVERS | variables)
    assert "hidden" not in str(refused.value)
