"""With deploy/docker/secure.yml: TLS, users and rights towards Kafka."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
from compose import journeys
from compose.composed import Composed
from manifests.rendered import SERVICES, build, of_kind

VARIANT = "secure"
_TOOL = ("run", "--rm", "--no-TTY", "--no-deps")
_ACLS = ("/opt/kafka/bin/kafka-acls.sh", "--bootstrap-server", "localhost:9094", "--list")
_RESOURCE = re.compile(r"resourceType=(\w+), name=([\w-]+), patternType=(\w+)")
_RIGHT = re.compile(r"principal=User:([\w-]+), host=\*, operation=(\w+), permissionType=ALLOW")


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
    cleared = ("CA_FILE", "SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD_FILE")
    plain = ["KAFKA_SECURITY_PROTOCOL=PLAINTEXT", *(f"KAFKA_{name}=" for name in cleared)]
    given = [word for variable in plain for word in ("-e", variable)]
    said = platform.ask(*_TOOL, *given, "rollcall", "events", "tail", "--no-follow")
    assert said.code == 3, said.out + said.err


def test_services_may_do_what_they_may_in_production(platform: Composed) -> None:
    expected = {
        (user["metadata"]["name"], *right)
        for user in of_kind(build("production"), "KafkaUser")
        for acl in user["spec"]["authorization"]["acls"]
        for right in _rights(acl)
        if user["metadata"]["name"] in SERVICES
    }
    found = _listed(platform.compose("exec", "--no-TTY", "kafka", *_ACLS))
    assert {right for right in found if right[0] in SERVICES} == expected
    assert {right[0] for right in found} == {*SERVICES[1:], "cli"}


def _rights(acl: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    resource = acl["resource"]
    pattern = {"prefix": "PREFIXED"}.get(resource.get("patternType", ""), "LITERAL")
    for operation in acl["operations"]:
        yield resource["type"].upper(), resource["name"], pattern, operation.upper()


def _listed(text: str) -> set[tuple[str, ...]]:
    """(user, resource type, name, pattern, operation) of what kafka-acls.sh prints."""
    found = set()
    resource: tuple[str, ...] = ()
    for line in text.splitlines():
        if named := _RESOURCE.search(line):
            resource = named.groups()
        elif right := _RIGHT.search(line):
            found.add((right[1], *resource, right[2]))
    return found
