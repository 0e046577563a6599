"""Apache Kafka on 127.0.0.1: one node, broker and controller in one process, durable data."""

import hashlib
import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from rollcall_local import credentials, jars, java
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home, write_private
from rollcall_local.ports import HOST, free_port, is_listening
from rollcall_local.process import Command, started
from rollcall_local.waiting import until_ready

log = logging.getLogger(__name__)

# Measured: 1.5 s from start to serving, 280 MB resident.
_JVM = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC")


@dataclass(frozen=True)
class Installation:
    """What it takes to run Kafka here: a Java, and the jars that passed verification."""

    java: Path
    jars: Path  # a directory with these jars only

    @property
    def classes(self) -> Path:
        """An archive of the classes that a broker loads (JEP 350), which halves its start: of this
        Java and these jars. Java looks whether it fits, and starts without where it does not."""
        java = self.java.resolve()
        named = hashlib.sha256(f"{java} {java.stat().st_mtime_ns}".encode()).hexdigest()[:12]
        return self.jars / f"classes-{named}.jsa"

    def program(self, main: str, *arguments: str) -> tuple[str, ...]:
        return self._program(f"-XX:SharedArchiveFile={self.classes}", main, *arguments)

    def archiving(self, archive: Path, main: str, *arguments: str) -> tuple[str, ...]:
        """The same, but its classes are written to `archive` when it ends."""
        return self._program(f"-XX:ArchiveClassesAtExit={archive}", main, *arguments)

    def _program(self, sharing: str, main: str, *arguments: str) -> tuple[str, ...]:
        log4j = f"-Dlog4j2.configurationFile={files('rollcall_local') / 'kafka_log4j2.xml'}"
        return (str(self.java), *_JVM, sharing, log4j, "-cp", f"{self.jars}/*", main, *arguments)


@dataclass(frozen=True)
class Broker:
    bootstrap_servers: str
    pid: int


@contextmanager
def running(
    directory: Path, port: int, settings: Mapping[str, str] | None = None
) -> Iterator[Broker]:
    """A broker with its data and log in `directory`, stopped at the end; for tests.

    Ready when this yields. The same directory can be used again later, after a kill -9 too,
    and has the same data and cluster id. `settings` are server.properties'. Raises
    Unavailable where Kafka cannot be had.
    """
    installation = install(os.environ, say=lambda _: None)
    with _serving(installation, installation.program, directory, port, settings or {}) as process:
        yield Broker(f"{HOST}:{port}", process.pid)


@contextmanager
def _serving(
    installation: Installation,
    program: Callable[..., tuple[str, ...]],
    directory: Path,
    port: int,
    settings: Mapping[str, str],
) -> Iterator[subprocess.Popen[bytes]]:
    home = Home(directory)
    home.create()
    cluster_id = credentials.load_or_create(home, ()).cluster_id
    configuration = configure(home.data / "kafka", port, free_port(), settings)
    format_storage(installation, configuration, cluster_id)
    output = home.log("kafka")
    with started(_command(program, configuration), output) as process:
        until_ready("Kafka", process, lambda _: is_listening(port), output)
        yield process


def install(variables: Mapping[str, str], say: Callable[[str], None]) -> Installation:
    """Find Java and provide the jars. Raises Unavailable, or JarMismatch."""
    found = java.find(variables)
    directory = jars.cache_directory(variables)
    jars.provide(directory, jars.pins(), say)
    installation = Installation(found, directory)
    if not installation.classes.exists():
        say("archiving Apache Kafka's classes, once for this user")
        _archive_classes(installation)
    return installation


def _archive_classes(installation: Installation) -> None:
    """By a broker that starts, and stops. Where this fails, brokers only start more slowly."""
    with tempfile.TemporaryDirectory(dir=installation.jars) as folder:
        made = Path(folder) / "classes.jsa"
        program = partial(installation.archiving, made)
        try:
            with _serving(installation, program, Path(folder) / "state", free_port(), {}) as broker:
                pass
            if broker.returncode == -signal.SIGKILL:
                raise PlatformError("the broker did not end in time")
            made.replace(installation.classes)
        except (PlatformError, OSError) as error:
            log.warning("Kafka's classes were not archived: %s", error)


def configure(
    data: Path, port: int, controller_port: int, settings: Mapping[str, str] | None = None
) -> Path:
    """Write server.properties for a broker that keeps its log in `data`; its path."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = _properties(data / "log", port, controller_port) | dict(settings or {})
    path = data / "server.properties"
    write_private(path, "".join(f"{name}={value}\n" for name, value in values.items()))
    return path


def format_storage(installation: Installation, configuration: Path, cluster_id: str) -> None:
    """Prepare the log directory once; later starts find it prepared."""
    if (configuration.parent / "log" / "meta.properties").exists():
        return
    tool = ("format", "--cluster-id", cluster_id, "--config", str(configuration))
    program = installation.program("kafka.tools.StorageTool", *tool)
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)  # noqa: S603
    if done.returncode:
        raise PlatformError(f"Kafka's storage could not be formatted: {done.stderr.strip()}")


def command(installation: Installation, configuration: Path) -> Command:
    return _command(installation.program, configuration)


def _command(program: Callable[..., tuple[str, ...]], configuration: Path) -> Command:
    return Command(argv=program("kafka.Kafka", str(configuration)), stop_within=15)


def _properties(log: Path, port: int, controller_port: int) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(log),
        "auto.create.topics.enable": "false",
        # One node: the internal topics have one replica, and few partitions to open at start.
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        # After a kill -9 the node is taken back when its own former session has expired.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "750",
        # Groups: no waiting for members to come, and a crashed one's partitions move in 6 s.
        "group.initial.rebalance.delay.ms": "0",
        "group.consumer.min.session.timeout.ms": "6000",
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.heartbeat.interval.ms": "1000",
        "group.consumer.heartbeat.interval.ms": "1000",
    }
