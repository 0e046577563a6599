"""Kafka's jars are exactly the pinned ones, or nothing is started."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from rollcall_local import jars, maven
from rollcall_local.errors import Unavailable

CONTENT = b"a jar"


@pytest.fixture
def pinned() -> list[jars.Pin]:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return [jars.Pin(digest, "org.example", name, "1.0") for name in ("one", "two")]


@pytest.fixture
def directory(tmp_path: Path, pinned: list[jars.Pin]) -> Path:
    for pin in pinned:
        (tmp_path / pin.jar).write_bytes(CONTENT)
    return tmp_path


def test_the_list_pins_kafka_and_its_clients_in_one_release() -> None:
    found = {pin.artifact: pin for pin in jars.pins()}
    assert found["kafka_2.13"].version == found["kafka-clients"].version == jars.KAFKA
    assert all(len(pin.sha256) == 64 for pin in found.values())
    assert len(found) == len(jars.pins())


def test_a_changed_byte_is_found_even_after_a_good_start(
    directory: Path, pinned: list[jars.Pin]
) -> None:
    jars.verify(directory, pinned)
    (directory / "two-1.0.jar").write_bytes(b"A jar")
    with pytest.raises(jars.JarMismatch, match=r"two-1\.0\.jar"):
        jars.verify(directory, pinned)


def test_an_unknown_jar_and_a_missing_one_are_named(
    directory: Path, pinned: list[jars.Pin]
) -> None:
    (directory / "extra.jar").write_bytes(b"")
    with pytest.raises(jars.JarMismatch, match=r"unknown jar extra\.jar"):
        jars.verify(directory, pinned)
    (directory / "extra.jar").unlink()
    (directory / "one-1.0.jar").unlink()
    with pytest.raises(jars.JarMismatch, match=r"one-1\.0\.jar is missing"):
        jars.verify(directory, pinned)


def test_a_jar_is_hashed_again_only_when_its_file_changed(
    directory: Path, pinned: list[jars.Pin]
) -> None:
    jars.verify(directory, pinned)
    path = directory / "one-1.0.jar"
    before = path.stat()
    path.write_bytes(b"A jar")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    jars.verify(directory, pinned)  # size and time say that it is the same


def test_a_download_that_differs_never_gets_into_the_cache(
    tmp_path: Path, pinned: list[jars.Pin], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(wanted: Sequence[maven.Coordinates], directory: Path) -> None:
        for _, artifact, version in wanted:
            (directory / f"{artifact}-{version}.jar").write_bytes(b"something else")

    monkeypatch.setattr(maven, "fetch", fetch)
    with pytest.raises(jars.JarMismatch):
        jars.provide(tmp_path / "cache", pinned, say=lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_unavailable_and_leaves_nothing(
    tmp_path: Path, pinned: list[jars.Pin], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(wanted: Sequence[maven.Coordinates], directory: Path) -> None:
        raise Unavailable("no network")

    monkeypatch.setattr(maven, "fetch", fetch)
    with pytest.raises(Unavailable):
        jars.provide(tmp_path / "cache", pinned, say=lambda _: None)
    assert list(tmp_path.iterdir()) == []
