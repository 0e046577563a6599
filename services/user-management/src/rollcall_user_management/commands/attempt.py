"""One attempt at a command: read the newest state, decide on it, admit the event."""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Engine

from rollcall.users.v1 import commands_pb2 as commands
from rollcall_events import Publisher, UnpublishedEvent
from rollcall_events.codec import MAX_VALUE_BYTES
from rollcall_user_management.admission.newest import Newest, load
from rollcall_user_management.admission.store import Admission, Kept, Refusal, admit, kept
from rollcall_user_management.commands.answers import answer
from rollcall_user_management.domain.decide import RULES, Aggregate, claim_of, decide
from rollcall_user_management.domain.errors import DomainError, Taken
from rollcall_user_management.domain.evolve import evolve
from rollcall_user_management.domain.state import Role, Stamp


class EventTooLarge(Exception):
    """The event would not fit into the log."""


@dataclass(frozen=True)
class Unchanged:
    """Nothing had to change; the aggregate as it is."""

    state: Aggregate


@dataclass(frozen=True)
class Wait:
    """An unsettled neighbour decides; try again when it may have moved. `again`: at once."""

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
            return kept(connection, command.context.command_id) or Unchanged(newest.state)
        admission = _admission(publisher, command, newest, event)
        connection.rollback()
        with connection.begin():
            outcome = admit(connection, admission)
    return _verdict(admission, outcome)


def _verdict(admission: Admission, outcome: Kept | Refusal | None) -> Admission | Kept | Wait:
    match outcome:
        case None:
            return admission
        case Kept():
            return outcome
        case Refusal(taken=True, by_unsettled=False):
            assert admission.claim is not None
            raise Taken(admission.claim.field)
        case Refusal(moved=moved):
            return Wait(again=moved)


def _admission(
    publisher: Publisher, command: commands.CreateUserRequest, newest: Newest, message: Message
) -> Admission:
    event = _event(publisher, command.context, newest.state.version + 1, message)
    record = publisher.record(event)
    if len(record.value) > MAX_VALUE_BYTES:
        raise EventTooLarge
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
    )
