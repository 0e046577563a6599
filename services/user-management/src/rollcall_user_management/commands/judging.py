"""Judge the commands of a group on what was read for them, one after the other."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from rollcall.users.v1 import commands_pb2 as commands
from rollcall_events import Publisher, UnpublishedEvent
from rollcall_events.codec import MAX_VALUE_BYTES, Malformed, check_readable
from rollcall_user_management.admission.newest import Newest
from rollcall_user_management.admission.transaction import (
    Admission,
    Answered,
    Facts,
    Kept,
    Question,
    Value,
)
from rollcall_user_management.commands.answers import answer, unchanged
from rollcall_user_management.commands.validation import InvalidFields
from rollcall_user_management.domain.decide import RULES, Claim, claim_of, decide, wanted_by
from rollcall_user_management.domain.errors import DomainError, SequenceParked, Taken
from rollcall_user_management.domain.evolve import evolve
from rollcall_user_management.domain.state import Role, Stamp


class EventTooLarge(Exception):
    """The event would not fit into the log."""


class CommandIdReused(Exception):
    """An earlier command had the same id and was another one."""


@dataclass(frozen=True)
class Wait:
    """An unsettled neighbour decides; try again when it may have moved."""


# What becomes of a command. An exception is its refusal, which nothing unsettled could change.
Verdict = Admission | Kept | Answered | Wait | Exception


def question_of(command: Any) -> Question:
    rule = RULES[type(command)]
    return Question(
        command_id=command.context.command_id,
        aggregate=rule.aggregate,
        key=getattr(command, rule.id_field),
        claim=wanted_by(command),
        reference=command.role_id if rule.refers_to_role else None,
    )


@dataclass
class Group:
    """What the group's earlier commands have taken: for the later ones they are unsettled."""

    command_ids: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    claims: set[Claim | None] = field(default_factory=set)

    def took(self, question: Question) -> bool:
        return (
            question.command_id in self.command_ids
            or question.key in self.keys
            or question.claim in self.claims
        )

    def take(self, command_id: str, admission: Admission | None) -> None:
        self.command_ids.add(command_id)
        if admission is not None:
            self.keys.add(admission.key)
            self.claims |= {admission.claim} - {None}


class Judge:
    """publisher: encodes the events. topic_id: Kafka's, of the log that positions are in."""

    def __init__(self, publisher: Publisher, topic_id: str):
        self._publisher = publisher
        self._topic_id = topic_id

    def verdicts(
        self, questions: Sequence[Question], commands_: Sequence[Any], facts: Sequence[Facts]
    ) -> list[Verdict]:
        """One for each command; of those that want the same, one at most is an Admission."""
        group = Group()
        return [
            self._contained(group, question, command, known)
            for question, command, known in zip(questions, commands_, facts, strict=True)
        ]

    def _contained(self, group: Group, question: Question, command: Any, facts: Facts) -> Verdict:
        try:
            verdict = self._verdict(group, question, command, facts)
        except Exception as error:  # noqa: BLE001  (its command's answer, and nobody else's)
            return error
        if isinstance(verdict, Admission):
            group.take(question.command_id, verdict)
        elif isinstance(verdict, Answered):
            group.take(question.command_id, None)
        return verdict

    def _verdict(self, group: Group, question: Question, command: Any, facts: Facts) -> Verdict:
        mark = fingerprint(command)
        if facts.kept is not None:
            return earlier(facts.kept, mark)
        if group.took(question):
            return Wait()
        if facts.parked:  # it may stay so for hours: nobody waits for it
            raise SequenceParked
        reference = facts.reference
        try:
            event = decide(facts.newest.state, command, _role(reference and reference.state))
        except DomainError as refusal:
            if _stands(refusal, command, facts):
                raise
            return Wait()
        if event is None:
            return self._unchanged(facts.newest, mark)
        if facts.other_collection:
            raise Taken("id")
        return self._admission(command, facts, event, mark)

    def _unchanged(self, newest: Newest, mark: bytes) -> Answered | Wait:
        """What nothing has to change about may itself not be in the log yet."""
        last = newest.state.last
        if last is None or last.offset < 0:
            return Wait()
        return Answered(mark, unchanged(newest.state, self._topic_id).SerializeToString())

    def _admission(
        self, command: Any, facts: Facts, message: Message, mark: bytes
    ) -> Admission | Wait:
        state, claim = facts.newest.state, claim_of(message)
        if facts.newest.busy:
            return Wait()
        if claim is not None and facts.value is not Value.FREE:
            if facts.value is Value.TAKEN_FOR_NOW:
                return Wait()
            raise Taken(claim.field)
        event = self._event(command.context, state.version + 1, message)
        record = self._publisher.record(event)
        if len(record.value) > MAX_VALUE_BYTES:
            raise EventTooLarge
        try:  # what is admitted must be readable, or it would be claimed and never settled
            check_readable(event, record)
        except Malformed as error:
            raise InvalidFields([("body", str(error))]) from None
        after = evolve(state, message, Stamp(event.time, -1, -1))
        return Admission(
            event_id=event.id,
            key=event.key,
            version=after.version,
            command_id=command.context.command_id,
            fingerprint=mark,
            claim=claim,
            record=record,
            answer=answer(after).SerializeToString(),
        )

    def _event(
        self, context: commands.CommandContext, version: int, message: Message
    ) -> UnpublishedEvent:
        return self._publisher.event(
            message,
            sequence=version,
            actor=context.actor,
            command_id=context.command_id,
            correlation_id=context.correlation_id or None,
            causation_id=context.command_id,
            traceparent=context.traceparent or None,
            tracestate=context.tracestate or None,
        )


def _stands(refusal: DomainError, command: Any, facts: Facts) -> bool:
    """Whether the settled state alone leads to the refusal as well, or there is nothing else.
    Then no settling can undo it, and the command need not wait for a neighbour that is changed
    again and again."""
    newest, reference = facts.newest, facts.reference
    if not newest.unsettled and not (reference and reference.unsettled):
        return True
    try:
        decide(newest.settled, command, _role(reference and reference.settled))
    except DomainError as settled:
        return settled.reason == refusal.reason
    return False


def _role(reference: Any) -> Role | None:
    assert reference is None or isinstance(reference, Role)
    return reference


def earlier(kept: Kept | Answered, mark: bytes) -> Kept | Answered:
    """The answer of the same command. Raises CommandIdReused if it was another."""
    if kept.fingerprint not in (None, mark):
        raise CommandIdReused
    return kept


def fingerprint(command: Any) -> bytes:
    """Of what is asked for: who asks, and the id that was generated for it, may differ."""
    bare = type(command)()
    bare.CopyFrom(command)
    bare.ClearField("context")
    rule = RULES[type(command)]
    if rule.creates:
        bare.ClearField(rule.id_field)
    name = type(command).__name__.encode()
    content = bare.SerializeToString(deterministic=True)
    return hashlib.blake2b(content, digest_size=16, person=name[:16]).digest()
