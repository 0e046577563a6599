"""A real Postgres with the service's schema, and an HTTP server in Slack's place."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from google.protobuf.message import Message
from sqlalchemy import Connection, Engine, text
from support.batches import handle_together

from rollcall_events import Event, Position, Subscription
from rollcall_events.postgres import Wire
from rollcall_events.types import type_of
from rollcall_local import ports
from rollcall_local.postgres import Server, running
from rollcall_service.migrations import upgrade
from rollcall_service.postgres import make_engine
from rollcall_slack_notification.settings import SCHEMA
from rollcall_slack_notification.subscriptions import subscription

MOMENT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("postgres")
    with running(directory, ports.free_port(), {"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Server) -> Iterator[Engine]:
    engine = make_engine(postgres.url("slack_notification"), schema=SCHEMA, pool_size=10)
    upgrade(engine, "rollcall_slack_notification", schema=SCHEMA)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(migrated: Engine) -> Engine:
    with migrated.begin() as connection:
        connection.execute(text("TRUNCATE deliveries, people, roles, grants RESTART IDENTITY"))
    return migrated


@dataclass
class Story:
    """Events are handled in turn; `told` says whom the last one was told to."""

    wire: Wire
    subscription: Subscription
    _offset: int = 0

    @property
    def connection(self) -> Connection:
        return self.wire.connection

    def when(self, message: Message, **envelope: Any) -> None:
        self.batch([self.event(message, **envelope)])

    def event(
        self, message: Message, actor: str | None = None, source: str = "/services/test"
    ) -> Event:
        self._offset += 1
        kind = type_of(message)
        return Event(
            id=str(uuid.uuid4()),
            type=kind.name,
            key=getattr(message, kind.id_field),
            source=source,
            time=MOMENT,
            message=message,
            sequence=3,
            actor=actor,
            position=Position("users", 7, self._offset),
            recorded_at=datetime.now(UTC) + timedelta(minutes=1),
        )

    def batch(self, events: Sequence[Event]) -> None:
        handle_together(self.wire, self.subscription, events)

    def commit(self) -> None:
        self.wire.send("COMMIT; BEGIN")

    def told(self, state: str = "pending") -> list[str]:
        statement = text(
            'SELECT recipient FROM deliveries WHERE "offset" = :offset AND state = :state'
            " ORDER BY id"
        )
        values = {"offset": self._offset, "state": state}
        return list(self.connection.execute(statement, values).scalars())

    def payload(self) -> Any:
        statement = text('SELECT payload FROM deliveries WHERE "offset" = :offset LIMIT 1')
        return self.connection.execute(statement, {"offset": self._offset}).scalar_one()

    def kept(self) -> list[Any]:
        """The view and the ledger, without what Postgres makes up."""
        owed = 'SELECT "offset", kind, recipient, payload, state FROM deliveries ORDER BY id'
        views = (f"SELECT * FROM {table} ORDER BY 1, 2" for table in ("people", "roles", "grants"))
        return [self.connection.execute(text(query)).all() for query in (owed, *views)]

    def forget(self) -> None:
        self.connection.execute(text("TRUNCATE deliveries, people, roles, grants"))


@pytest.fixture
def story(engine: Engine) -> Iterator[Story]:
    subscribed = subscription(channel=None)
    with Wire(engine, subscribed.prepare) as wire:
        wire.send("BEGIN")
        yield Story(wire, subscribed)


# What a method answers: (HTTP status, headers, body).
Answer = tuple[int, dict[str, str], bytes]


def ok(**body: Any) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps({"ok": True, **body}).encode()


def error(code: str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps({"ok": False, "error": code}).encode()
    return status, {"Content-Type": "application/json"} | (headers or {}), body


@dataclass
class SlackServer:
    """Answers as Slack does, or as `answers` says for a method."""

    url: str = ""
    calls: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    answers: dict[str, Callable[[dict[str, Any]], Answer]] = field(default_factory=dict)

    def answer(self, method: str, body: dict[str, Any], token: str) -> Answer:
        self.calls.append((method, body, token))
        if method in self.answers:
            return self.answers[method](body)
        return {
            "users.lookupByEmail": lambda: ok(user={"id": "U-" + body["email"]}),
            "conversations.open": lambda: ok(channel={"id": "D-" + body["users"]}),
            "chat.postMessage": lambda: ok(ts="1.2", channel=body["channel"]),
        }[method]()

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.calls]

    def posted(self) -> list[dict[str, Any]]:
        return [body for method, body, _ in self.calls if method == "chat.postMessage"]


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    stand_in = SlackServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            is_json = "json" in self.headers.get("Content-Type", "")
            body = json.loads(raw) if is_json else {k: v[0] for k, v in parse_qs(raw).items()}
            method = self.path.rpartition("/")[2]
            status, headers, answer = stand_in.answer(method, body, self.headers["Authorization"])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}/api/"
    yield stand_in
    server.shutdown()
    server.server_close()
    thread.join(5)
