"""An event of an older type on its way through the read store: what it means today is there."""

from integration.verification.histories import old_record
from sqlalchemy import Engine, text

from rollcall.users.v1 import events_pb2 as pb
from rollcall_events import Record, parking
from rollcall_events.codec import RawRecord, encode
from rollcall_events.folding import Failure
from rollcall_events.inbox import apply, connect
from rollcall_events.partitioner import partition_of
from rollcall_events.publisher import event_of
from rollcall_user_management.projection.handlers import subscription

GROUP = subscription("user_management_g1")
OLD = old_record()
USER = OLD.key.decode()
PARTITION = partition_of(OLD.key, 50)


def records() -> list[RawRecord]:
    """The old event, a second copy of it, and a change in the present form."""
    person = pb.Person(name="Ada King")
    changed = event_of(pb.UserUpdatedEvent(user_id=USER, person=person), "/services/test")
    return [_raw(n, r) for n, r in enumerate((OLD, OLD, encode(changed, "users")))]


def _raw(offset: int, record: Record) -> RawRecord:
    read = (record.key, record.value, record.headers, 1_795_000_000_123 + offset)
    return RawRecord("users", PARTITION, offset, *read)


def prepare(store: Engine) -> None:
    statement = "INSERT INTO offsets (topic, partition, next_offset, topic_id)"
    with store.begin() as connection:
        connection.execute(
            text(f"{statement} VALUES ('users', :partition, 0, 'id')"), {"partition": PARTITION}
        )


def timeline(store: Engine) -> list[tuple[str, int, str]]:
    asked = text("SELECT type, version, state->>'name' AS name FROM history ORDER BY version")
    with store.connect() as connection:
        return [(row.type, row.version, row.name) for row in connection.execute(asked)]


TIMELINE = [
    ("rollcall.users.v1.UserCreatedEvent", 1, "Ada Lovelace"),
    ("rollcall.users.v1.UserUpdatedEvent", 2, "Ada King"),
]


def test_the_history_shows_it_as_its_present_type(store: Engine) -> None:
    prepare(store)
    with connect(store, GROUP) as wire:
        outcome = apply(wire, GROUP, records(), {PARTITION: 0}, 50)
    assert (outcome.applied, outcome.duplicates) == (2, 1)
    assert timeline(store) == TIMELINE


def test_one_that_was_parked_is_read_again_when_it_is_redriven(store: Engine) -> None:
    prepare(store)
    lane = records()
    with connect(store, GROUP) as wire:
        failures = {lane[0].position: Failure("drawn")}
        apply(wire, GROUP, lane, {PARTITION: 0}, 50, failures)
    assert timeline(store) == []
    run = parking.redrive(store, GROUP, USER, 50)
    assert (run.left, run.outcome.applied, run.outcome.duplicates) == (0, 2, 1)
    assert timeline(store) == TIMELINE
