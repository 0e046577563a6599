"""From an event in a handler's hand to a message in Slack: every part real but Kafka and Slack."""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, text

from rollcall.users.v1 import events_pb2 as pb
from rollcall_service.schedule import Schedule
from rollcall_service.sender import Sender
from rollcall_slack_notification.client import Poster, make_client
from rollcall_slack_notification.messages import make_send
from rollcall_slack_notification.settings import SCHEMA, Slack

ADMIN = "018f0000-0000-7000-8000-00000000000a"
ADA, BOB, EVE = (f"018f0000-0000-7000-8000-00000000000{n}" for n in (1, 2, 3))
SPACING = 0.3


@pytest.fixture
def sending(engine: Engine, slack: Any) -> Iterator[None]:
    sender = Sender(
        engine,
        make_send(Poster(make_client(Slack("xoxb-test", slack.url)))),
        schema=SCHEMA,
        name="test",
        spacing=SPACING,
        schedule=Schedule(first=0.05, longest=0.1),
    )
    sender.start()
    yield
    sender.stop()


def eventually(true: Callable[[], bool], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


def states(engine: Engine) -> set[tuple[str, int]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT state, attempts FROM deliveries"))
        return {(row.state, row.attempts) for row in rows}


def two_admins(story: Any) -> None:
    for user_id, name in ((ADA, "Ada"), (BOB, "Bob")):
        person = pb.Person(email=f"{name.lower()}@example.com", name=name)
        story.when(pb.UserCreatedEvent(user_id=user_id, person=person))
    for user_id in (ADA, BOB):
        role = {"user_id": user_id, "role_id": ADMIN, "role_name": "admin"}
        story.when(pb.RoleAssignedToUserEvent(**role))
    story.connection.execute(text("TRUNCATE deliveries"))


def create_eve(story: Any) -> None:
    person = pb.Person(email="eve@example.com", name="Eve")
    story.when(pb.UserCreatedEvent(user_id=EVE, person=person), actor=f"users/{ADA}")


def test_the_other_admin_gets_the_message(
    engine: Engine, slack: Any, story: Any, sending: None
) -> None:
    two_admins(story)
    create_eve(story)
    story.commit()
    eventually(lambda: states(engine) == {("sent", 1)})
    (message,) = slack.posted()
    assert message["channel"] == "D-U-bob@example.com"
    assert message["text"] == "Eve was created by Ada"
    assert message["metadata"]["event_type"] == "rollcall_user_created"


def test_a_conversation_gets_its_messages_in_order_and_spaced(
    engine: Engine, slack: Any, story: Any, sending: None
) -> None:
    times: list[float] = []

    def post(body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        times.append(time.monotonic())
        return 200, {"Content-Type": "application/json"}, b'{"ok": true}'

    slack.answers["chat.postMessage"] = post
    two_admins(story)
    create_eve(story)
    for name in ("Eva", "Evelyn"):
        person = pb.Person(name=name)
        story.when(pb.UserUpdatedEvent(user_id=EVE, person=person), actor=f"users/{ADA}")
    story.commit()
    eventually(lambda: states(engine) == {("sent", 1)})
    texts = [message["text"] for message in slack.posted()]
    assert [text.split()[0] for text in texts] == ["Eve", "Eva", "Evelyn"]
    assert all(later - earlier >= SPACING for earlier, later in pairwise(times))


def test_a_rate_limit_and_an_outage_are_outlived(
    engine: Engine, slack: Any, story: Any, sending: None
) -> None:
    headers = {"Content-Type": "application/json"}
    answers = iter(
        [
            (429, headers | {"Retry-After": "1"}, b'{"ok": false, "error": "ratelimited"}'),
            (500, {}, b"oops"),
            (200, headers, b'{"ok": true}'),
        ]
    )
    slack.answers["chat.postMessage"] = lambda _: next(answers)
    two_admins(story)
    create_eve(story)
    story.commit()
    eventually(lambda: states(engine) == {("sent", 3)})
