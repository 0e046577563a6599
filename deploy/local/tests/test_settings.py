"""What the environment of `rollcall up` may say, and what it is told when it says nonsense."""

import socket

import pytest

from rollcall_local import parts, ports
from rollcall_local.errors import PlatformError
from rollcall_local.services import SERVICES, management_port
from rollcall_local.settings import Settings


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"GATEWAY_PORT": "http"}, "GATEWAY_PORT"),
        ({"KAFKA_PORT": "70000"}, "KAFKA_PORT"),
        ({"ROLLCALL_BROKER": "rabbit"}, "ROLLCALL_BROKER"),
        ({"ROLLCALL_BROKER": "kafka", "KAFKA_BOOTSTRAP_SERVERS": "a:1"}, "ROLLCALL_BROKER"),
    ],
)
def test_a_wrong_variable_is_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(PlatformError, match=named):
        Settings.from_env(variables)


def test_secrets_are_not_in_what_is_shown_of_settings() -> None:
    given = {"DATABASE_URL": "postgresql://u:pw1@h/d", "SLACK_BOT_TOKEN": "xoxb-1"}
    shown = repr(Settings.from_env(given))
    assert "pw1" not in shown
    assert "xoxb-1" not in shown


def test_a_taken_port_is_named_with_what_wants_it_and_what_changes_it() -> None:
    with socket.create_server((ports.HOST, 0)) as other:
        port = other.getsockname()[1]
        settings = Settings.from_env({"MAILBOX_PORT": str(port)})
        claim = next(c for c in parts.backing_claims(settings) if c.variable == "MAILBOX_PORT")
        with pytest.raises(PlatformError) as failure:
            parts.require_free([claim])
    message = str(failure.value)
    assert len(message.splitlines()) == 1
    assert all(word in message for word in (str(port), "the mailbox", "MAILBOX_PORT"))


def test_parts_that_are_given_claim_no_ports() -> None:
    given = {
        "DATABASE_URL": "postgresql://u:p@h/d",
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "SMTP_URL": "smtp://mail:25",
        "SLACK_BOT_TOKEN": "xoxb-1",
    }
    assert parts.backing_claims(Settings.from_env(given)) == []


def test_every_replica_that_may_be_has_a_management_port_of_its_own() -> None:
    taken = [
        management_port(service, number, 7100)
        for service in SERVICES.values()
        for number in range(1, ports.REPLICAS + 1)
    ]
    assert len(set(taken)) == len(taken)
