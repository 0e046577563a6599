"""The ledger's gRPC service on a real Postgres, called as its operators' command calls it."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import grpc
import pytest
from sqlalchemy import Engine, text
from support.sending import QUICK, SCHEMA, Provider, counts, owe, refuse, row
from support.waiting import eventually

from rollcall.deliveries.v1 import deliveries_pb2 as pb
from rollcall.deliveries.v1.deliveries_pb2_grpc import DeliveryServiceStub
from rollcall_service.deliveries_server import deliveries_service
from rollcall_service.ledger import Delivery
from rollcall_service.operators import OperatorsServer
from rollcall_service.postgres import make_engine
from rollcall_service.sender import Permanent, Sender, Transient
from rollcall_service.settings import SettingsError


def serving(engine: Engine, port: int) -> OperatorsServer:
    return OperatorsServer("127.0.0.1", port, [deliveries_service(engine, SCHEMA)])


@pytest.fixture
def service(engine: Engine) -> Iterator[DeliveryServiceStub]:
    server = serving(engine, 0)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield DeliveryServiceStub(channel)
    server.stop()


def started(stack: ExitStack, engine: Engine, provider: Provider) -> Sender:
    sender = Sender(engine, provider.send, schema=SCHEMA, name="test", schedule=QUICK)
    sender.start()
    stack.callback(sender.stop)
    return sender


def recipients(found: object) -> list[str]:
    return [d.recipient for d in found]  # type: ignore[attr-defined]


def test_they_are_listed_the_newest_first_in_pages(
    engine: Engine, service: DeliveryServiceStub
) -> None:
    owe(engine, *(f"user{n}: hi" for n in range(5)))
    first = service.ListDeliveries(pb.ListDeliveriesRequest(page_size=3))
    assert recipients(first.deliveries) == ["user4", "user3", "user2"]
    rest = service.ListDeliveries(
        pb.ListDeliveriesRequest(page_size=3, before_id=first.next_before_id)
    )
    assert recipients(rest.deliveries) == ["user1", "user0"]
    assert not rest.HasField("next_before_id")
    one = rest.deliveries[0]
    assert (one.state, one.attempts, one.kind) == (pb.DELIVERY_STATE_PENDING, 0, "test")
    assert one.due_at.ToDatetime(UTC) <= datetime.now(UTC)
    assert not one.HasField("finished_at")


def test_they_are_found_by_all_that_is_given(engine: Engine, service: DeliveryServiceStub) -> None:
    owe(engine, "ada: hi", "bob: hi", "bob: again")
    every = service.ListDeliveries(pb.ListDeliveriesRequest()).deliveries
    ada = every[-1]

    def found(**given: object) -> list[str]:
        wanted = pb.DeliveryFilter(**given)  # type: ignore[arg-type]
        return recipients(
            service.ListDeliveries(pb.ListDeliveriesRequest(filter=wanted)).deliveries
        )

    assert found(event_id=ada.event_id.upper()) == ["ada"]
    assert found(subject_id=ada.subject_id) == ["ada"]
    assert found(recipient="bob") == ["bob", "bob"]
    assert found(recipient="bob", states=[pb.DELIVERY_STATE_SENT]) == []
    assert found(ids=[ada.id]) == ["ada"]
    assert found(since=every[0].created_at) == ["bob"]
    assert found(until=every[0].created_at) == ["bob", "ada"]
    assert found(event_id=str(uuid.uuid4())) == []
    assert found(kind="'; DROP TABLE deliveries; --") == []


def test_what_failed_is_tried_again(engine: Engine, service: DeliveryServiceStub) -> None:
    provider = Provider({"ada": refuse(Permanent("no such mailbox"))})
    with ExitStack() as stack:
        started(stack, engine, provider)
        owe(engine, "ada: hi", "bob: hi")
        eventually(lambda: counts(engine) == {"failed": 1, "sent": 1})
        del provider.answers["ada"]
        request = pb.RetryDeliveriesRequest(dry_run=True)
        assert recipients(service.RetryDeliveries(request).changed) == ["ada"]
        assert counts(engine) == {"failed": 1, "sent": 1}
        request.dry_run = False
        assert recipients(service.RetryDeliveries(request).changed) == ["ada"]
        eventually(lambda: counts(engine) == {"sent": 2})
    assert sorted(provider.accepted) == ["ada: hi", "bob: hi"]


def test_what_was_given_up_is_tried_as_what_is_new(
    engine: Engine, service: DeliveryServiceStub
) -> None:
    """For as long, and after as short a pause; the attempts that people see go on."""

    def twice_busy(delivery: Delivery) -> None:
        ages.append(delivery.age)
        firsts.append(delivery.attempts - delivery.attempts_before)
        if delivery.attempts < 33:
            raise Transient("busy")

    ages, firsts = list[float](), list[int]()
    owe(engine, "ada: hi")
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE deliveries SET state = 'failed', attempts = 30,"
                " created_at = now() - interval '2 days', finished_at = now()"
            )
        )
    assert len(service.RetryDeliveries(pb.RetryDeliveriesRequest()).changed) == 1
    with ExitStack() as stack:
        started(stack, engine, Provider({"ada": twice_busy}))
        eventually(lambda: counts(engine) == {"sent": 1})
    assert row(engine, "ada").attempts == 33
    assert firsts == [1, 2, 3]
    assert max(ages) < 60


def test_what_waits_for_an_attempt_need_not_wait(
    engine: Engine, service: DeliveryServiceStub
) -> None:
    provider = Provider({"ada": refuse(Transient("busy", retry_after=3600))})
    with ExitStack() as stack:
        started(stack, engine, provider)
        owe(engine, "ada: first", "ada: second")
        eventually(lambda: row(engine, "ada").last_error == "busy")
        del provider.answers["ada"]
        changed = service.RetryDeliveries(pb.RetryDeliveriesRequest()).changed
        assert len(changed) == 1  # the second stays behind the first
        eventually(lambda: provider.accepted == ["ada: first", "ada: second"])


def test_what_is_cancelled_is_not_sent_and_holds_nobody_up(
    engine: Engine, service: DeliveryServiceStub
) -> None:
    provider = Provider({"ada": refuse(Transient("busy", retry_after=3600))})
    with ExitStack() as stack:
        started(stack, engine, provider)
        owe(engine, "ada: first", "ada: second")
        eventually(lambda: row(engine, "ada").last_error == "busy")
        del provider.answers["ada"]
        first = service.ListDeliveries(pb.ListDeliveriesRequest()).deliveries[-1]
        wanted = pb.DeliveryFilter(ids=[first.id])
        service.CancelDeliveries(pb.CancelDeliveriesRequest(filter=wanted))
        eventually(lambda: counts(engine) == {"cancelled": 1, "sent": 1})
    assert provider.accepted == ["ada: second"]


def test_what_is_on_its_way_is_not_cancelled(engine: Engine, service: DeliveryServiceStub) -> None:
    going, end = threading.Event(), threading.Event()

    def slowly(_: object) -> None:
        going.set()
        end.wait(10)

    with ExitStack() as stack:
        started(stack, engine, Provider({"ada": slowly}))
        owe(engine, "ada: hi")
        assert going.wait(10)
        assert not service.CancelDeliveries(pb.CancelDeliveriesRequest()).changed
        end.set()
        eventually(lambda: counts(engine) == {"sent": 1})


def test_a_long_work_is_done_in_many_calls(engine: Engine, service: DeliveryServiceStub) -> None:
    owe(engine, *(f"user{n}: hi" for n in range(25)))
    calls, after = 0, 0
    while True:
        request = pb.CancelDeliveriesRequest(page_size=10, after_id=after)
        answer = service.CancelDeliveries(request)
        calls += 1
        if not answer.HasField("next_after_id"):
            break
        after = answer.next_after_id
    assert calls == 3
    assert counts(engine) == {"cancelled": 25}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (pb.ListDeliveriesRequest(page_size=501), "page_size must be from 1 to 500"),
        (
            pb.ListDeliveriesRequest(filter=pb.DeliveryFilter(event_id="1")),
            "event_id must be a UUID",
        ),
        (
            pb.ListDeliveriesRequest(
                filter=pb.DeliveryFilter(states=[pb.DELIVERY_STATE_UNSPECIFIED])
            ),
            "states must be states of a delivery",
        ),
    ],
)
def test_what_cannot_be_asked_is_said(
    service: DeliveryServiceStub, request_: pb.ListDeliveriesRequest, said: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        service.ListDeliveries(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == said


def test_without_postgres_it_says_so() -> None:
    away = make_engine("postgresql://nobody:x@127.0.0.1:1/none", schema=SCHEMA)
    server = serving(away, 0)
    server.start()
    address = f"127.0.0.1:{server.port}"
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as refused:
        DeliveryServiceStub(channel).ListDeliveries(pb.ListDeliveriesRequest())
    server.stop()
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_taken_port_is_one_clear_line(engine: Engine) -> None:
    server = serving(engine, 0)
    with pytest.raises(SettingsError, match="GRPC_PORT: can't listen on"):
        serving(engine, server.port)
    server.stop()
