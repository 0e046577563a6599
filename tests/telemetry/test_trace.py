"""A request to create a user is one trace, from the client to the mail and the Slack message."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from e2e.local_platform import Platform
from e2e.people import create, second_admin
from e2e.waiting import eventually
from telemetry.collector import Collector, Span

COMMAND = "rollcall.users.v1.UserCommandService/CreateUser"
SENDERS = {"email-notification": "SMTP send", "slack-notification": "Slack chat.postMessage"}
GROUPS = ("user-management", *SENDERS)
_EXPORTED_WITHIN = 30.0  # seconds; a message to Slack may wait for a second


@dataclass(frozen=True)
class Traced:
    """trace_id, parent: as the client gave them. spans: all that came of it."""

    trace_id: str
    parent: str
    user: dict[str, Any]
    spans: list[Span]

    def one(self, service: str, kind: str) -> Span:
        (span,) = [s for s in self.spans if (s.service, s.kind) == (service, kind)]
        return span


def post(api: httpx.Client, flags: str) -> tuple[str, str, dict[str, Any]]:
    trace_id, parent = secrets.token_hex(16), secrets.token_hex(8)
    api.headers["traceparent"] = f"00-{trace_id}-{parent}-{flags}"
    try:
        return trace_id, parent, create(api, "ada").json()
    finally:
        del api.headers["traceparent"]


@pytest.fixture(scope="module")
def traced(api: httpx.Client, platform: Platform, collector: Collector) -> Iterator[Traced]:
    with second_admin(api, platform):
        trace_id, parent, user = post(api, "01")

        def sent() -> list[Span]:
            spans = collector.trace(trace_id)
            assert set(SENDERS.values()) <= {s.name for s in spans}, spans
            return spans

        eventually(sent, within=_EXPORTED_WITHIN)
        spans = eventually(lambda: _complete(sent()), within=_EXPORTED_WITHIN)
        yield Traced(trace_id, parent, user, spans)


def _complete(spans: list[Span]) -> list[Span]:
    """Once every replica has exported: the groups are not in step."""
    groups = {s.attributes["messaging.consumer.group.name"] for s in spans if s.kind == "CONSUMER"}
    assert groups == set(GROUPS), spans
    return spans


def test_these_are_its_spans(traced: Traced) -> None:
    found = sorted((s.service, s.kind, s.name) for s in traced.spans)
    assert found == sorted(
        [
            ("gateway", "SERVER", "POST /v1/users"),
            ("gateway", "CLIENT", COMMAND),
            ("user-management", "SERVER", COMMAND),
            ("user-management", "INTERNAL", "admission"),
            ("user-management", "PRODUCER", "send users"),
            *((group, "CONSUMER", "process users") for group in GROUPS),
            *((service, "CLIENT", name) for service, name in SENDERS.items()),
        ]
    )
    assert [s for s in traced.spans if s.failed] == []


def test_each_is_below_the_one_that_led_to_it(traced: Traced) -> None:
    request, call = traced.one("gateway", "SERVER"), traced.one("gateway", "CLIENT")
    command, sent = (traced.one("user-management", kind) for kind in ("SERVER", "PRODUCER"))
    assert request.parent == traced.parent
    assert call.parent == request.id
    assert command.parent == call.id
    assert traced.one("user-management", "INTERNAL").parent == command.id
    assert sent.parent == command.id
    for group in GROUPS:
        processed = traced.one(group, "CONSUMER")
        assert (processed.parent, processed.links) == (sent.id, [sent.id])
    for service in SENDERS:
        assert traced.one(service, "CLIENT").parent == traced.one(service, "CONSUMER").id


def test_they_say_what_was_done(traced: Traced) -> None:
    request = traced.one("gateway", "SERVER").attributes
    assert request["http.route"] == "/v1/users"
    assert (request["http.request.method"], request["http.response.status_code"]) == ("POST", 201)
    assert traced.one("user-management", "SERVER").attributes["rpc.response.status_code"] == "OK"
    admission = traced.one("user-management", "INTERNAL").attributes
    assert admission["rollcall.admission.group_size"] >= 1
    sent = traced.one("user-management", "PRODUCER")
    assert sent.events == ["admitted"]
    assert sent.attributes["messaging.operation.type"] == "send"
    for group in GROUPS:
        processed = traced.one(group, "CONSUMER").attributes
        assert processed["messaging.consumer.group.name"] == group
        assert processed["messaging.operation.type"] == "process"
        for name in ("messaging.message.id", "messaging.kafka.offset"):
            assert processed[name] == sent.attributes[name]
        for name in ("system", "destination.name", "destination.partition.id"):
            assert processed[f"messaging.{name}"] == sent.attributes[f"messaging.{name}"]
    mail = traced.one("email-notification", "CLIENT").attributes
    assert (mail["rollcall.delivery.kind"], mail["rollcall.delivery.attempt"]) == ("welcome", 1)
    assert mail["cloudevents.event_id"] == sent.attributes["messaging.message.id"]


def test_they_last_as_long_as_what_they_tell_of(traced: Traced) -> None:
    request, call = traced.one("gateway", "SERVER"), traced.one("gateway", "CLIENT")
    command, sent = (traced.one("user-management", kind) for kind in ("SERVER", "PRODUCER"))
    assert request.began <= call.began <= command.began <= sent.began
    assert sent.ended <= command.ended <= call.ended <= request.ended
    for group in GROUPS:
        assert traced.one(group, "CONSUMER").began >= sent.began


def test_nobody_is_named(traced: Traced, collector: Collector) -> None:
    told = " ".join(f"{s.name} {s.attributes}" for s in collector.all())
    assert traced.user["email"] not in told
    assert traced.user["name"] not in told
    assert "@" not in told


def test_what_nobody_samples_leaves_no_span(api: httpx.Client, collector: Collector) -> None:
    """Another trace, which is sampled and comes after it, is exported by every service."""
    unsampled, _, _ = post(api, "00")
    plain = create(api, "ada").json()
    sampled, _, _ = post(api, "01")

    def arrived() -> None:
        spans = collector.trace(sampled)
        groups = {s.service for s in spans if s.kind == "CONSUMER"}
        assert {"user-management", *SENDERS} <= groups, spans

    eventually(arrived, within=_EXPORTED_WITHIN)
    assert plain["id"]
    assert collector.trace(unsampled) == []
