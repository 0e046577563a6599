"""Replicas of user-management as processes, without what is around them."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.error import URLError

import grpc
from support.waiting import eventually

from rollcall_events import KafkaSettings
from rollcall_local.ports import HOST, free_port


class Replica:
    """One process. Its gRPC is at `port`."""

    def __init__(self, database_url: str, kafka: KafkaSettings, log: Path):
        self.port, self._management = free_port(), free_port()
        variables = {
            "DATABASE_URL": database_url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "KAFKA_GROUP_PROTOCOL": kafka.group_protocol,
            "GRPC_PORT": str(self.port),
            "MANAGEMENT_PORT": str(self._management),
            "REPLICA_ID": log.stem,
        }
        self._variables, self._log = os.environ | variables, log
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "rollcall_user_management"],
                env=self._variables,
                stdout=output,
                stderr=output,
            )

    def ready(self) -> bool:
        assert self._process.poll() is None, "the replica ended"
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._management}/readyz", timeout=1):
                return True
        except (URLError, OSError):
            return False

    def state(self) -> str:
        """What it says of itself; nothing where it does not answer."""
        try:
            url = f"http://{HOST}:{self._management}/status"
            with urllib.request.urlopen(url, timeout=1) as said:
                return str(json.load(said)["state"])
        except (URLError, OSError):
            return ""

    def kill_and_start_again(self) -> None:
        self._process.kill()
        self._process.wait(5)
        self._process = self._started()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(15)

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(f"{HOST}:{self.port}")


@contextmanager
def fleet(
    count: int, database_url: str, kafka: KafkaSettings, folder: Path
) -> Iterator[list[Replica]]:
    """So many replicas, ready."""
    replicas = [Replica(database_url, kafka, folder / f"replica-{n}.log") for n in range(count)]
    try:
        for replica in replicas:
            eventually(replica.ready, within=60)
        yield replicas
    finally:
        for replica in replicas:
            replica.stop()


@contextmanager
def channels(replicas: list[Replica]) -> Iterator[list[grpc.Channel]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(replica.channel())) for replica in replicas]
