"""What goes into the images, without building them."""

import re

import pytest
from house.members import ROOT, normalized
from manifests.image_requirements import FOLDER, IMAGES, NOT_IN_IMAGES, contents

DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()
NOT_AT_RUN_TIME = {"pytest", "mypy", "ruff", "uv", "grpcio-tools", "hypothesis", *NOT_IN_IMAGES}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_what_it_needs_and_nothing_else(image: str) -> None:
    """make image-requirements, if this fails because a dependency has come or gone."""
    assert (FOLDER / f"{image}.txt").read_text() == contents(image)


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_of_tests_or_of_one_machine_is_in_an_image(image: str) -> None:
    assert not NOT_AT_RUN_TIME & set(contents(image).split())


def test_everything_is_in_the_lock() -> None:
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    named = {name for image in IMAGES for name in contents(image).split()}
    assert named - {normalized(pin) for pin in pins} == set()
    assert not [pin for pin in pins if pin != normalized(pin)], "they are compared as they are"


def test_the_context_has_what_is_copied() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {path.rstrip("/") for line in sources for path in line.split()}
    assert {f"!{path}" for path in copied} == {line for line in ignored if line[:1] == "!"}


def test_it_runs_as_a_number_without_a_shell() -> None:
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.search(r"^USER \d+:\d+$", final, re.MULTILINE)
    assert re.search(r"^ENTRYPOINT \[", final, re.MULTILINE)
    assert re.search(r"^  CMD \[", final, re.MULTILINE), "the health check"
    assert "RUN" not in final


def test_any_builder_understands_it() -> None:
    assert not re.search(r"^# *syntax=|--mount=|--link|--chmod|<<", DOCKERFILE, re.MULTILINE)
