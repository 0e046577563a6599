"""The images as they were built (make images)."""

import json
import subprocess
from typing import Any

import pytest
from house.members import BY_DISTRIBUTION, normalized
from manifests.image_requirements import IMAGES, contents

BUILT = [image for image in IMAGES if image != "build"]
CONFINED = ("--read-only", "--network", "none", "--cap-drop", "ALL", "--tmpfs", "/tmp")
OUR_CODE = 4 * 1024 * 1024  # bytes; the layer that a change of code replaces
INSTALLED = """
import importlib.metadata, json, os
names = [found.metadata["Name"] for found in importlib.metadata.distributions()]
print(json.dumps([os.getuid(), names]))
"""


def docker(*arguments: str) -> str:
    argv = ["docker", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=BUILT)
def image(compose: list[str], request: pytest.FixtureRequest) -> str:
    """Its name, where an engine runs."""
    return str(request.param)


def configured(image: str) -> dict[str, Any]:
    (found,) = json.loads(docker("image", "inspect", f"rollcall/{image}:dev"))
    config: dict[str, Any] = found["Config"]
    return config


def test_it_runs_as_nobody_special_and_can_be_asked_how_it_is(image: str) -> None:
    config = configured(image)
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Entrypoint"] == ["/opt/rollcall/bin/entrypoint"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == f"rollcall/{image}"
    assert {"version", "revision", "licenses"} <= {name.rpartition(".")[2] for name in labels}


def test_it_holds_what_it_needs_and_nothing_else(image: str) -> None:
    python = ("--entrypoint", "python", f"rollcall/{image}:dev", "-c", INSTALLED)
    user, names = json.loads(docker("run", "--rm", *CONFINED, *python))
    found = {normalized(name) for name in names}
    assert user == 10001
    assert found - BY_DISTRIBUTION.keys() == set(contents(image).split())


def test_our_code_is_a_small_layer_of_its_own(image: str) -> None:
    sizes = docker("history", "--human=false", "--format", "{{.Size}}", f"rollcall/{image}:dev")
    code, dependencies = [int(size) for size in sizes.split() if int(size) > 100_000][:2]
    assert code < OUR_CODE
    assert dependencies > 10 * code


def test_it_starts_on_a_closed_root_and_says_what_it_misses(image: str) -> None:
    argv = ["docker", "run", "--rm", *CONFINED, f"rollcall/{image}:dev"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "is not set" in done.stderr or done.stderr.startswith("usage: rollcall"), done.stderr
