"""docker-compose.yml, alone and with deploy/docker/secure.yml, without an engine."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, validators
from manifests.compose_file import FILES, Project, command, project, services
from manifests.compose_policy import ONE_PROGRAM, RULES, STAND_IN
from manifests.rendered import ROOT, SERVICES, build, containers, workloads

from rollcall_events.topic import _CONFIG, PARTITIONS
from rollcall_local import kafka

VARIANTS = sorted(FILES)


def schema() -> dict[str, Any]:
    """The Compose specification's, as a wheel brings it."""
    file = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_is_what_the_specification_allows(variant: str) -> None:
    validator = validators.validator_for(schema(), default=Draft202012Validator)(schema())
    assert [e.message for e in validator.iter_errors(project(variant))] == []
    wrong = deepcopy(project(variant))
    wrong["services"]["gateway"]["restarts"] = "always"
    assert list(validator.iter_errors(wrong))


@pytest.mark.parametrize("variant", VARIANTS)
def test_compose_itself_takes_it_where_it_is_installed(variant: str) -> None:
    compose = command()
    if compose is None:
        pytest.skip("needs Compose 2 or newer; elsewhere the schema and the rules have to do")
    named = [word for file in FILES[variant] for word in ("-f", str(file))]
    argv = [*compose, *named, "--profile", "*", "config", "--quiet"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_keeps_the_rule(rule: Callable[[Project], Iterator[str]], variant: str) -> None:
    assert list(rule(project(variant))) == []


Breaks = Callable[[dict[str, Any]], object]
BROKEN: list[tuple[str, str, Breaks]] = [
    ("healthy_or_a_job", "gateway", lambda s: s.pop("healthcheck")),
    ("healthy_or_a_job", "gateway", lambda s: s["healthcheck"].update(test="curl localhost")),
    ("only_this_machine", "gateway", lambda s: s.update(ports=["8080:8080"])),
    ("only_this_machine", "gateway", lambda s: s.update(ports=["0.0.0.0:8080:8080"])),
    ("only_this_machine", "kafka", lambda s: s.update(volumes=["/var/run:/host"])),
    ("pinned", "postgres", lambda s: s.update(image="postgres")),
    ("pinned", "postgres", lambda s: s.update(image="postgres:latest")),
    ("pinned", "gateway", lambda s: s.pop("build")),
    ("no_secret", "gateway", lambda s: s["environment"].update(ROLLCALL_TOKEN_SECRET="x" * 40)),
    ("no_secret", "postgres", lambda s: s["environment"].update(POSTGRES_PASSWORD="postgres")),
    ("no_secret", "roles", lambda s: s["environment"].update(X="postgresql://u:p@postgres/r")),
    ("no_secret", "postgres", lambda s: s["environment"].update(POSTGRES_PASSWORD_FILE="/etc/x")),
    ("confined", "kafka", lambda s: s.pop("user")),
    ("confined", "kafka", lambda s: s.update(user="0:0")),
    ("confined", "gateway", lambda s: s.update(read_only=False)),
    ("confined", "gateway", lambda s: s.update(cap_add=["NET_ADMIN"])),
    ("confined", "gateway", lambda s: s.pop("security_opt")),
    ("bounded", "slack", lambda s: s.pop("deploy")),
    ("bounded", "slack", lambda s: s.pop("logging")),
    ("bounded", "slack", lambda s: s.update(tmpfs=["/tmp"])),
    ("in_order", "gateway", lambda s: s.pop("restart")),
    ("in_order", "roles", lambda s: s["depends_on"]["postgres"].update(condition="started")),
    ("declared", "roles", lambda s: s.update(volumes=["./deploy/docker/missing.sh:/x"])),
    ("declared", "roles", lambda s: s.update(volumes=["unknown:/x"])),
    ("declared", "roles", lambda s: s.pop("networks")),
]


@pytest.mark.parametrize(("rule", "service", "breaks"), BROKEN)
def test_a_rule_notices_what_breaks_it(rule: str, service: str, breaks: Breaks) -> None:
    broken = deepcopy(project("secure"))
    breaks(broken["services"][service])
    (checked,) = [r for r in RULES if r.__name__ == rule]
    assert list(checked(broken))


def test_exceptions_are_needed() -> None:
    assert not [name for name in ONE_PROGRAM if "healthcheck" in services("plain")[name]]
    assert services("plain")["slack-notification"]["environment"].items() >= STAND_IN.items()


def test_real_mail_and_slack_are_named_by_the_environment() -> None:
    given = {"SMTP_URL": "smtps://mail.example.com", "SLACK_BOT_TOKEN": "xoxb-1"}
    found = services("plain", **given)
    assert found["email-notification"]["environment"]["SMTP_URL"] == given["SMTP_URL"]
    assert found["slack-notification"]["environment"]["SLACK_BOT_TOKEN"] == "xoxb-1"


def test_images_of_others_are_those_of_the_kubernetes_overlay() -> None:
    there = {c["image"] for w in workloads(build("dev")) for c in containers(w)}
    profiled = {
        n for n, s in services("secure").items() if "observability" in s.get("profiles", ())
    }
    here = {s["image"] for n, s in services("secure").items() if n not in profiled}
    strangers = {name for name in here | there if not name.startswith("rollcall/")}
    assert strangers <= here & there
    assert {name for name in there if name.startswith("rollcall/")} <= here


def test_the_topic_is_the_one_that_the_services_ask_for() -> None:
    command = services("plain")["topic"]["command"]
    assert command[command.index("--partitions") + 1] == str(PARTITIONS)
    config = [value for word, value in pairwise(command) if word == "--config"]
    assert dict(value.split("=") for value in config) == _CONFIG


def test_kafka_is_set_as_on_one_machine_but_for_its_listeners(tmp_path: Path) -> None:
    lines = kafka.configure(tmp_path, 9092, 9093).read_text().splitlines()
    here = dict(line.split("=", 1) for line in lines)
    given = services("plain")["kafka"]["environment"].items()
    found = {n.removeprefix("KAFKA_").replace("_", ".").lower(): value for n, value in given}
    own = {
        name
        for name in here
        if "listener" in name or name in ("log.dirs", "controller.quorum.voters")
    }
    assert {name: found[name] for name in here.keys() - own} == {
        name: here[name] for name in here.keys() - own
    }


def test_prometheus_is_told_the_same_as_elsewhere_but_for_where_replicas_are() -> None:
    here, elsewhere = (
        yaml.safe_load((ROOT / "deploy" / folder / "prometheus.yaml").read_text())
        for folder in ("docker", "observability")
    )
    (job,), (other,) = here.pop("scrape_configs"), elsewhere.pop("scrape_configs")
    assert here == elsewhere
    assert job["dns_sd_configs"][0]["names"] == [*SERVICES[1:], SERVICES[0]]
    assert (job["job_name"], job["metrics_path"]) == (other["job_name"], other["metrics_path"])


def test_the_observers_are_told_what_their_configuration_asks_for() -> None:
    folder = ROOT / "deploy" / "observability"
    text = "".join(f.read_text() for f in folder.rglob("*.yaml") if "rules" not in f.parts)
    asked = set(re.findall(r"\$\{(?:env:)?([A-Z_]+)", text))
    found = services("plain")
    told = {**found["grafana"]["environment"], **found["otel-collector"]["environment"]}
    assert asked
    assert asked <= told.keys()


def test_three_replicas_of_user_management() -> None:
    assert services("plain")["user-management"]["deploy"]["replicas"] == 3
