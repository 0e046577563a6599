"""From an event in a handler's hand to a mail in a mailbox: every part real but Kafka."""

import threading
import time
from collections.abc import Callable, Iterator
from email.headerregistry import Address
from typing import Any

import pytest
from sqlalchemy import Engine, text

from rollcall.users.v1 import events_pb2 as pb
from rollcall_email_notification.mailer import Mailer
from rollcall_email_notification.messages import make_send
from rollcall_email_notification.rendering import Renderer
from rollcall_email_notification.settings import SCHEMA
from rollcall_service.schedule import Schedule
from rollcall_service.sender import Sender

USER = "018f0000-0000-7000-8000-000000000001"
FROM = Address("Rollcall", "noreply", "rollcall.example")


@pytest.fixture
def server(serve: Callable[..., Any], engine: Engine) -> Iterator[Any]:
    server = serve()
    mailer = Mailer(server.smtp)
    mailer.start()
    sender = Sender(
        engine,
        make_send(Renderer(), mailer, FROM),
        schema=SCHEMA,
        name="test",
        schedule=Schedule(first=0.05, longest=0.1),
    )
    sender.start()
    yield server
    sender.stop()
    mailer.stop()


def eventually(true: Callable[[], bool], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


def states(engine: Engine) -> list[tuple[str, int]]:
    statement = text("SELECT state, attempts FROM deliveries ORDER BY id")
    with engine.connect() as connection:
        return [(row.state, row.attempts) for row in connection.execute(statement)]


def happen(story: Any, *messages: Any) -> None:
    for message in messages:
        story.when(message)
    story.commit()


def created(email: str) -> pb.UserCreatedEvent:
    return pb.UserCreatedEvent(user_id=USER, person=pb.Person(email=email, name="Ada"))


def test_a_welcome_arrives_after_a_busy_server(engine: Engine, server: Any, story: Any) -> None:
    answers = iter(["451 later", "421 busy", None])
    server.on_data = lambda _: next(answers)
    happen(story, created("ada@example.com"))
    eventually(lambda: states(engine) == [("sent", 3)])
    (mail,) = server.mails
    assert mail["Subject"] == "Welcome to Rollcall"
    assert mail["To"] == "ada@example.com"


def test_a_users_mails_arrive_in_order(engine: Engine, server: Any, story: Any) -> None:
    happen(
        story,
        created("ada@example.com"),
        pb.UserLoggedInEvent(user_id=USER),
        pb.UserUpdatedEvent(user_id=USER, person=pb.Person(name="Ada L.")),
        pb.UserDeletedEvent(user_id=USER),
    )
    eventually(lambda: states(engine) == [("sent", 1)] * 4)
    assert [mail["Subject"] for mail in server.mails] == [
        "Welcome to Rollcall",
        "New sign-in to your account",
        "Your profile was changed",
        "Your account was deleted",
    ]
    assert len({mail["Message-ID"] for mail in server.mails}) == 4


def test_a_recipient_that_is_refused_or_no_address_fails(
    engine: Engine, server: Any, story: Any
) -> None:
    server.on_recipient = lambda address: "550 no such mailbox"
    happen(story, created("ada@example.com"))
    eventually(lambda: states(engine) == [("failed", 1)])
    happen(story, pb.UserUpdatedEvent(user_id=USER, person=pb.Person(email="no address @ all")))
    # The change is owed to an address that is none, and to the old one, which is refused.
    eventually(lambda: states(engine) == [("failed", 1)] * 3)
