"""What docker-compose.yml tells the services is what they read, and secrets are where they look."""

from pathlib import Path
from typing import Any

import pytest
from manifests.compose_file import FILES, environment, mounts, services
from manifests.rendered import SERVICES
from manifests.test_settings import READ_BY, Asked

from rollcall_local import secret_files
from rollcall_local.home import Home
from rollcall_service.tracing import ENDPOINTS

VARIANTS = sorted(FILES)
# Set by every image, where a container's ports are its own.
IMAGE = {
    "GATEWAY_HOST": "0.0.0.0",
    "GRPC_HOST": "0.0.0.0",
    "MANAGEMENT_HOST": "0.0.0.0",
    "MANAGEMENT_PORT": "8081",
}
# The tracer and OpenTelemetry read these themselves.
TRACING = {*ENDPOINTS, "OTEL_TRACES_SAMPLER_ARG"}
READERS = ("cli", "kafka", "postgres", *SERVICES)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the job makes them, with a folder for each volume."""
    directory = tmp_path_factory.mktemp("secrets")
    for reader in READERS:
        (directory / reader).mkdir()
    secret_files.main(Home(tmp_path_factory.mktemp("home")), directory)
    return directory


def variables(variant: str, service: str, secrets: Path) -> dict[str, str]:
    """Of its container, with paths into its volume of secrets as they are here."""
    found = environment(services(variant)[service])
    targets = {target: source for source, target in mounts(services(variant)[service])}
    own = secrets / targets["/secrets"].removeprefix("secrets-")
    return {name: value.replace("/secrets/", f"{own}/") for name, value in found.items()}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_what_it_is_told_and_misses_nothing(
    service: str, variant: str, secrets: Path
) -> None:
    told = variables(variant, service, secrets)
    given = Asked(IMAGE | told)
    settings: Any = READ_BY[service](given)
    assert told.keys() - TRACING - given.names == set()
    assert (settings.management_host, settings.management_port) == ("0.0.0.0", 8081)
    if service == "gateway":
        assert (settings.host, settings.port) == ("0.0.0.0", 8080)
    else:
        assert (settings.grpc_host, settings.grpc_port) == ("0.0.0.0", 50051)
        assert settings.database_url.startswith(f"postgresql://{service.replace('-', '_')}:")
        assert "@postgres:5432/rollcall" in settings.database_url


def test_the_image_sets_what_this_says_of_it() -> None:
    dockerfile = (Path(__file__).parents[2] / "deploy/docker/Dockerfile").read_text()
    assert all(f"{name}={value}" in dockerfile for name, value in IMAGE.items())


@pytest.mark.parametrize("service", [*SERVICES[1:], "rollcall"])
def test_secured_everyone_is_somebody_and_speaks_under_tls(service: str, secrets: Path) -> None:
    given = variables("secure", service, secrets)
    user = "cli" if service == "rollcall" else service
    assert given["KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert given["KAFKA_SASL_USERNAME"] == user
    password = Path(given["KAFKA_SASL_PASSWORD_FILE"]).read_text()
    assert password == (secrets / "kafka" / user).read_text()
    assert "BEGIN CERTIFICATE" in Path(given["KAFKA_CA_FILE"]).read_text()


@pytest.mark.parametrize("variant", VARIANTS)
def test_everyone_is_shown_only_secrets_of_its_own(variant: str) -> None:
    """The jobs of Postgres and Kafka are shown those of Postgres and Kafka. Whoever makes secrets
    or tokens is shown the volume with all of them."""
    all_of_them = {n for n, s in services(variant).items() if "home" in dict(mounts(s))}
    assert all_of_them == {"secrets", "first-user", "rollcall"}
    shown = {
        (source.removeprefix("secrets-"), name)
        for name, service in services(variant).items()
        for source, _ in mounts(service)
        if source.startswith("secrets-") and name != "secrets"
    }
    expected = {(s, s) for s in SERVICES} | {("postgres", "postgres"), ("postgres", "roles")}
    expected |= {("cli", "rollcall")}
    if variant == "secure":
        expected |= {("kafka", "kafka"), ("kafka", "kafka-users")}
    assert shown == expected


def test_addresses_name_services_that_share_a_network() -> None:
    found = services("plain")
    arrows = [
        ("gateway", "user-management"),
        *((name, other) for name in SERVICES[1:] for other in ("kafka", "postgres")),
        ("email-notification", "mailpit"),
        ("slack-notification", "slack"),
        *(("rollcall", name) for name in (*SERVICES, "kafka")),
        ("first-user", "gateway"),
        ("roles", "postgres"),
    ]
    for one, other in arrows:
        assert {*found[one]["networks"]} & {*found[other]["networks"]}, (one, other)
    strangers = [("gateway", "postgres"), ("gateway", "kafka"), ("rollcall", "postgres")]
    strangers += [("mailpit", "postgres"), ("mailpit", "kafka"), ("slack", "kafka")]
    for one, other in strangers:
        assert not {*found[one]["networks"]} & {*found[other]["networks"]}, (one, other)
