"""A real Postgres with the service's schema, and a real mail server that does as it is told."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from google.protobuf.message import Message
from sqlalchemy import Connection, Engine, text
from support.batches import handle_together

from rollcall_email_notification.settings import SCHEMA, Smtp
from rollcall_email_notification.subscriptions import SUBSCRIPTION
from rollcall_events import Event, Position
from rollcall_events.postgres import Wire
from rollcall_events.types import type_of
from rollcall_local import ports
from rollcall_local.postgres import Server, running
from rollcall_service.migrations import upgrade
from rollcall_service.postgres import make_engine

USER = "018f0000-0000-7000-8000-000000000001"
MOMENT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("postgres")
    with running(directory, ports.free_port(), {"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Server) -> Iterator[Engine]:
    engine = make_engine(postgres.url("email_notification"), schema=SCHEMA, pool_size=10)
    upgrade(engine, "rollcall_email_notification", schema=SCHEMA)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(migrated: Engine) -> Engine:
    with migrated.begin() as connection:
        connection.execute(text("TRUNCATE deliveries, recipients RESTART IDENTITY"))
    return migrated


@dataclass
class Story:
    """given(events) handled before; when(event) is handled; then: the mails it owes."""

    wire: Wire
    _offset: int = 0

    @property
    def connection(self) -> Connection:
        return self.wire.connection

    def given(self, *messages: Message) -> "Story":
        for message in messages:
            self.when(message)
        self.connection.execute(text("TRUNCATE deliveries"))
        return self

    def when(self, message: Message, **envelope: Any) -> Event:
        event = self.event(message, **envelope)
        self.batch([event])
        return event

    def event(
        self,
        message: Message,
        user: str = USER,
        recorded_at: datetime | None = None,
        source: str = "/services/test",
    ) -> Event:
        self._offset += 1
        return Event(
            id=str(uuid.uuid4()),
            type=type_of(message).name,
            key=user,
            source=source,
            time=MOMENT,
            message=message,
            position=Position("users", 7, self._offset),
            recorded_at=recorded_at or datetime.now(UTC) + timedelta(minutes=1),
        )

    def batch(self, events: Sequence[Event]) -> None:
        handle_together(self.wire, SUBSCRIPTION, events)

    def commit(self) -> None:
        self.wire.send("COMMIT; BEGIN")

    def owed(self) -> list[tuple[str, str]]:
        rows = self.connection.execute(
            text("SELECT kind, recipient FROM deliveries WHERE state = 'pending' ORDER BY id")
        )
        return [(row.kind, row.recipient) for row in rows]

    def kept(self) -> list[Any]:
        """The view and the ledger, without what Postgres makes up."""
        owed = 'SELECT "offset", kind, recipient, payload, state FROM deliveries ORDER BY id'
        view = "SELECT * FROM recipients ORDER BY user_id"
        return [self.connection.execute(text(query)).all() for query in (owed, view)]

    def forget(self) -> None:
        self.connection.execute(text("TRUNCATE deliveries, recipients"))

    def payload(self, kind: str) -> Any:
        statement = text("SELECT payload FROM deliveries WHERE kind = :kind")
        return self.connection.execute(statement, {"kind": kind}).scalar_one()


@pytest.fixture
def story(engine: Engine) -> Iterator[Story]:
    with Wire(engine, SUBSCRIPTION.prepare) as wire:
        wire.send("BEGIN")
        yield Story(wire)


@dataclass
class MailServer:
    """Its hooks answer each step; the default accepts everything."""

    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str | None, list[str]]] = field(default_factory=list)
    on_mail: Callable[[str], str | None] = lambda address: None
    on_recipient: Callable[[str], str | None] = lambda address: None
    on_data: Callable[[SMTP], str | None] = lambda server: None
    smtp: Smtp = field(default_factory=lambda: Smtp("127.0.0.1", 0))

    async def handle_MAIL(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.on_mail(address)
        if answer is None:
            envelope.mail_from = address
        return answer or "250 OK"

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.on_recipient(address)
        if answer is None:
            envelope.rcpt_tos.append(address)
        return answer or "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        answer = self.on_data(server)
        if answer is None:
            assert isinstance(envelope.content, bytes)
            mail = message_from_bytes(envelope.content, policy=default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
        return answer or "250 OK"


@pytest.fixture
def serve() -> Iterator[Callable[..., MailServer]]:
    """Starts mail servers and stops them at the end."""
    controllers: list[Controller] = []

    def serving(timeout: float = 5.0, **settings: Any) -> MailServer:
        mail_server = MailServer()
        port = ports.free_port()
        controller = Controller(mail_server, hostname="127.0.0.1", port=port, **settings)
        controller.start()
        controllers.append(controller)
        mail_server.smtp = Smtp("127.0.0.1", port, timeout=timeout)
        return mail_server

    yield serving
    for controller in controllers:
        controller.stop(no_assert=True)
