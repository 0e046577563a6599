"""One attempt at a command: read the newest state, decide on it, admit the event."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from rollcall.users.v1 import commands_pb2 as commands
from rollcall_events import Publisher, Record, UnpublishedEvent
from rollcall_events.codec import MAX_VALUE_BYTES, Malformed, RawRecord, decode
from rollcall_events.partitioner import partition_of
from rollcall_events.topic import PARTITIONS
from rollcall_user_management.admission.newest import Newest, load
from rollcall_user_management.admission.store import Admission, Kept, Refusal, admit, kept
from rollcall_user_management.commands.answers import answer
from rollcall_user_management.commands.validation import InvalidFields
from rollcall_user_management.domain.decide import RULES, Aggregate, claim_of, decide
from rollcall_user_management.domain.errors import DomainError, Taken
from rollcall_user_management.domain.evolve import evolve
from rollcall_user_management.domain.state import Role, Stamp


class EventTooLarge(Exception):
    """The event would not fit into the log."""


class OutcomeUnknown(Exception):
    """Admitted, or perhaps so, and not known to be in the log. Repeat it to learn its answer."""


@dataclass(frozen=True)
class Unchanged:
    """Nothing had to change; the aggregate as it is."""

    state: Aggregate


@dataclass(frozen=True)
class Wait:
    """An unsettled neighbour decides; try again when it may have moved, at once if `again`."""

    again: bool = False


def attempt(
    engine: Engine, publisher: Publisher, command: Any
) -> Admission | Kept | Unchanged | Wait:
    """Raises DomainError for a refusal that nothing unsettled could still change."""
    rule = RULES[type(command)]
    with engine.connect() as connection:
        newest = load(connection, rule.aggregate, getattr(command, rule.id_field))
        role = load(connection, Role, command.role_id) if rule.refers_to_role else None
        reference = role.state if role else None
        assert reference is None or isinstance(reference, Role)
        connection.rollback()
        try:
            event = decide(newest.state, command, reference)
        except DomainError:
            if earlier := kept(connection, command.context.command_id):
                return earlier
            if newest.unsettled or (role and role.unsettled):
                return Wait()
            raise
        if event is None:
            return kept(connection, command.context.command_id) or _unchanged(newest)
        admission = _admission(publisher, command, newest, event)
        return _verdict(admission, _admit(connection, admission))


def _admit(connection: Connection, admission: Admission) -> Kept | Refusal | None:
    """Commit by itself: where the answer of the commit is lost, nobody knows what it was."""
    transaction = connection.begin()
    try:
        outcome = admit(connection, admission)
    except BaseException:
        transaction.rollback()
        raise
    try:
        transaction.commit()
    except DBAPIError as error:
        if outcome is None:
            raise OutcomeUnknown from error
        raise
    return outcome


def _unchanged(newest: Newest) -> Unchanged | Wait:
    """What nothing has to change about may itself not be in the log yet."""
    last = newest.state.last
    return Unchanged(newest.state) if last is not None and last.offset >= 0 else Wait()


def _verdict(admission: Admission, outcome: Kept | Refusal | None) -> Admission | Kept | Wait:
    match outcome:
        case None:
            return admission
        case Kept():
            return outcome
        case Refusal.TAKEN:
            assert admission.claim is not None
            raise Taken(admission.claim.field)
        case Refusal.ID_TAKEN:
            raise Taken("id")
        case _:
            return Wait(again=outcome is Refusal.MOVED)


def _admission(
    publisher: Publisher, command: commands.CreateUserRequest, newest: Newest, message: Message
) -> Admission:
    event = _event(publisher, command.context, newest.state.version + 1, message)
    record = publisher.record(event)
    if len(record.value) > MAX_VALUE_BYTES:
        raise EventTooLarge
    _check_readable(record)
    after = evolve(newest.state, message, Stamp(event.time, -1, -1))
    return Admission(
        event_id=event.id,
        key=event.key,
        version=after.version,
        command_id=command.context.command_id,
        claim=claim_of(message),
        record=record,
        answer=answer(after).SerializeToString(),
    )


def _check_readable(record: Record) -> None:
    """What is admitted must be read back as an event, or it would be claimed and never settled."""
    partition = partition_of(record.key, PARTITIONS)
    try:
        decode(
            RawRecord(record.topic, partition, 0, record.key, record.value, record.headers, 0),
            PARTITIONS,
        )
    except Malformed as error:
        raise InvalidFields([("body", str(error))]) from None


def _event(
    publisher: Publisher, context: commands.CommandContext, version: int, message: Message
) -> UnpublishedEvent:
    return publisher.event(
        message,
        sequence=version,
        actor=context.actor,
        command_id=context.command_id,
        correlation_id=context.correlation_id or None,
        causation_id=context.command_id,
        traceparent=context.traceparent or None,
        tracestate=context.tracestate or None,
    )
