"""Rebuilds of the read store under load, by replicas that are processes of their own."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import Engine, text
from support.fleet import Replica, channels, fleet
from support.waiting import eventually

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall.projections.v1.projections_pb2_grpc import ProjectionServiceStub
from rollcall.users.v1 import commands_pb2 as commands
from rollcall.users.v1 import events_pb2, queries_pb2
from rollcall.users.v1.commands_pb2_grpc import UserCommandServiceStub
from rollcall.users.v1.queries_pb2_grpc import UserQueryServiceStub
from rollcall_events import KafkaSettings, Publisher
from rollcall_events.ids import uuid7
from rollcall_user_management.readstore import LAYOUT

TABLES = ("users", "user_roles", "roles", "assignments", "history", "inbox", "offsets")
EARLIER = 3_000  # users that were there before
_TOGETHER = 100  # events on their way to the log
WORKERS = 4
LOSING = {getattr(grpc.StatusCode, n) for n in ("UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED")}


@pytest.fixture
def replicas(
    database_url: str, kafka_settings: KafkaSettings, tmp_path: Path
) -> Iterator[list[Replica]]:
    with fleet(2, database_url, kafka_settings, tmp_path) as started:
        yield started


def test_a_rebuild_under_load(
    replicas: list[Replica], kafka_settings: KafkaSettings, engine: Engine
) -> None:
    """Neither it nor going back and forth is felt, and whoever fills may die."""
    _publish(kafka_settings, EARLIER)
    with channels(replicas) as opened:
        operator = ProjectionServiceStub(opened[0])
        with _load(opened) as load:
            made = operator.StartRebuild(pb.StartRebuildRequest())
            assert (made.number, made.state) == (2, pb.GENERATION_STATE_FILLING)
            with load.losing():
                replicas[1].kill_and_start_again()
                eventually(replicas[1].ready, within=60)
                _wait_for_all_partitions(operator)
            for number in (2, 1, 2):
                _use(operator, number)
                load.go_on()
        _same(operator, engine)
        _go_back_and_drop(operator, engine)
        with _load(opened):
            assert all(replica.ready() for replica in replicas)
        _another_release(opened, replicas, engine)


def _another_release(opened: list[grpc.Channel], replicas: list[Replica], engine: Engine) -> None:
    """It fills tables of its own, and serves then; an earlier one says why it does not any more.
    What the table says of the layout stands for the tables themselves."""
    operator = ProjectionServiceStub(opened[1])
    _set_layout(engine, LAYOUT + 1)  # as if a later release had taken over
    said = f"layout {LAYOUT + 1}; this release knows layout {LAYOUT}"
    eventually(lambda: all(said in replica.state() for replica in replicas))
    assert not any(replica.ready() for replica in replicas)
    with pytest.raises(grpc.RpcError) as refusal:
        UserQueryServiceStub(opened[0]).ListUsers(queries_pb2.ListUsersRequest())
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
    with pytest.raises(grpc.RpcError, match="tables of a later release"):
        operator.StartRebuild(pb.StartRebuildRequest())

    _set_layout(engine, 1)  # as if an earlier release had been here before this one
    replicas[0].kill_and_start_again()
    eventually(lambda: all(replica.ready() for replica in replicas), within=90)
    assert {g.number: g.layout for g in _listed(operator)} == {3: LAYOUT, 1: 1}
    assert _states(operator) == {3: pb.GENERATION_STATE_LIVE, 1: pb.GENERATION_STATE_STANDBY}
    with _load(opened, losing=True):  # the partitions of the dead may not have moved yet
        operator.DropGeneration(pb.DropGenerationRequest(number=1))


def _set_layout(engine: Engine, layout: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE user_management.generations SET layout = :layout WHERE live"),
            {"layout": layout},
        )


def _states(operator: Any) -> dict[int, Any]:
    return {g.number: g.state for g in _listed(operator)}


def _wait_for_all_partitions(operator: Any) -> None:
    """Until what the log has now is folded."""
    records = _listed(operator)[0].records
    eventually(lambda: all(g.folded >= records for g in _listed(operator)), within=90)


def _same(operator: Any, engine: Engine) -> None:
    assert _states(operator) == {1: pb.GENERATION_STATE_STANDBY, 2: pb.GENERATION_STATE_LIVE}
    eventually(lambda: all(g.folded == g.records for g in _listed(operator)), within=30)
    assert _contents(engine, 1) == _contents(engine, 2)
    assert _one(engine, "SELECT count(*) FROM admissions WHERE settled_at IS NULL") == 0


def _go_back_and_drop(operator: Any, engine: Engine) -> None:
    """While nothing is asked, so that whoever is asked next finds the tables gone."""
    with pytest.raises(grpc.RpcError) as refusal:
        operator.DropGeneration(pb.DropGenerationRequest(number=2))
    assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    _use(operator, 1)
    operator.DropGeneration(pb.DropGenerationRequest(number=2))
    assert [g.number for g in _listed(operator)] == [1]
    assert not _one(engine, "SELECT to_regclass('user_management_g2.users')::text")


def _publish(settings: KafkaSettings, users: int) -> None:
    publisher = Publisher(settings, "users", "/services/test")
    publisher.start()
    try:
        created = [
            events_pb2.UserCreatedEvent(
                user_id=uuid7(), person=events_pb2.Person(email=f"{uuid7()}@x.org", name="Ada")
            )
            for _ in range(users)
        ]
        for start in range(0, users, _TOGETHER):  # a broker that is slow is not called away
            for future in [publisher.publish(m) for m in created[start : start + _TOGETHER]]:
                future.result(20)
    finally:
        publisher.stop()


class Load:
    """Clients that create users, rename them, and read what they wrote, wherever they ask."""

    def __init__(self, opened: list[grpc.Channel], *, losing: bool):
        self.done = 0
        self._losing = losing
        self._commands = [UserCommandServiceStub(channel) for channel in opened]
        self._queries = [UserQueryServiceStub(channel) for channel in opened]
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(WORKERS)
        self._clients: list[Future[None]] = []

    def start(self) -> None:
        self._clients = [self._threads.submit(self._client) for _ in range(WORKERS)]

    def stop(self) -> None:
        """Whatever went wrong is raised."""
        self._stopping.set()
        for client in self._clients:
            client.result(90)

    def go_on(self) -> None:
        """Return when each client has been answered a few times more."""
        wanted = self.done + WORKERS * 5
        eventually(lambda: self.done >= wanted or any(c.done() for c in self._clients), within=60)
        assert self.done >= wanted, [c.exception() for c in self._clients if c.done()]

    @contextmanager
    def losing(self) -> Iterator[None]:
        """Meanwhile a replica may be away, and a call may have to be repeated elsewhere."""
        self._losing = True
        yield
        self.go_on()
        self._losing = False

    def _client(self) -> None:
        while not self._stopping.is_set():
            id_ = uuid7()
            created = commands.CreateUserRequest(
                context=_context(), user_id=id_, email=f"{id_}@x.org", name="Ada"
            )
            self._check(id_, self._call("CreateUser", created), 1, "Ada")
            for version in (2, 3):
                renamed = commands.UpdateUserRequest(
                    context=_context(),
                    user_id=id_,
                    name=f"Ada {version}",
                    expected_version=version - 1,
                )
                self._check(id_, self._call("UpdateUser", renamed), version, f"Ada {version}")

    def _check(self, id_: str, told: Any, version: int, name: str) -> None:
        assert told.version == version
        seen = self._call("GetUser", queries_pb2.GetUserRequest(id=id_, after=[told.position]))
        assert (seen.version, seen.name) == (version, name)
        self.done += 1

    def _call(self, method: str, request: Any) -> Any:
        stubs = self._queries if method == "GetUser" else self._commands
        end = time.monotonic() + 60
        while True:
            try:
                return getattr(random.choice(stubs), method)(request, timeout=10)
            except grpc.RpcError as error:
                again = error.code() in LOSING
                if not (self._losing and again and time.monotonic() < end):
                    raise


@contextmanager
def _load(opened: list[grpc.Channel], *, losing: bool = False) -> Iterator[Load]:
    load = Load(opened, losing=losing)
    load.start()
    try:
        load.go_on()
        yield load
    finally:
        load.stop()


def _context() -> commands.CommandContext:
    return commands.CommandContext(command_id=uuid7(), actor="services/test")


def _listed(operator: Any) -> list[pb.Generation]:
    return list(operator.ListGenerations(pb.ListGenerationsRequest()).generations)


def _use(operator: Any, number: int) -> None:
    """As soon as it has come near."""

    def refusal() -> str:
        try:
            operator.UseGeneration(pb.UseGenerationRequest(number=number))
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
        return ""

    def used() -> bool:
        said = refusal()
        assert not said or "behind" in said or "not every partition" in said
        return not said

    eventually(used, within=60)


def _contents(engine: Engine, number: int) -> dict[str, list[str]]:
    with engine.connect() as connection:
        return {
            table: sorted(
                repr(row) for row in connection.execute(_rows(f"user_management_g{number}.{table}"))
            )
            for table in TABLES
        }


def _rows(table: str) -> Any:
    return text(f"SELECT to_jsonb(t) - 'at_end' FROM {table} t")


def _one(engine: Engine, statement: str) -> Any:
    with engine.connect() as connection:
        connection.execute(text("SET search_path = user_management"))
        return connection.execute(text(statement)).scalar_one()
