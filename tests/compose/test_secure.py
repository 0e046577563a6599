"""With deploy/docker/secure.yml: TLS, users and rights towards Kafka."""

import httpx
from compose import journeys
from compose.composed import Composed

VARIANT = "secure"
_TOOL = ("run", "--rm", "--no-TTY", "--no-deps")


def test_a_user_is_created_and_welcomed(api: httpx.Client, platform: Composed) -> None:
    journeys.a_user_is_created_and_welcomed(api, platform)


def test_the_other_admin_is_told(api: httpx.Client, platform: Composed) -> None:
    journeys.the_other_admin_is_told(api, platform)


def test_the_read_store_is_the_fold_of_the_log(platform: Composed) -> None:
    journeys.the_read_store_is_the_fold_of_the_log(platform)


def test_the_command_reads_the_log(platform: Composed) -> None:
    assert "UserCreatedEvent" in platform.rollcall(
        "events", "tail", "--since", "1h", "--no-follow", "--json"
    )


def test_who_says_no_password_is_not_heard(platform: Composed) -> None:
    plain = ("-e", "KAFKA_SECURITY_PROTOCOL=PLAINTEXT", "-e", "KAFKA_CA_FILE=")
    plain += ("-e", "KAFKA_SASL_USERNAME=", "-e", "KAFKA_SASL_PASSWORD_FILE=")
    plain += ("-e", "KAFKA_SASL_MECHANISM=")
    said = platform.ask(*_TOOL, *plain, "rollcall", "events", "tail", "--no-follow")
    assert said.code == 3, said.out + said.err
