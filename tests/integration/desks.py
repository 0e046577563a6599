"""Admission without its threads: a desk reads, judges and commits one group at a time."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from rollcall.users.v1 import commands_pb2 as commands
from rollcall_events import Position, Recorded
from rollcall_events.ids import uuid7
from rollcall_events.postgres import Wire
from rollcall_user_management.admission.store import (
    PREPARE_MARK,
    PREPARE_SETTLE,
    mark_appended,
    settling,
)
from rollcall_user_management.admission.transaction import Admission, Answered, commit, read
from rollcall_user_management.commands.judging import Judge, Verdict, question_of


@dataclass(frozen=True)
class Desk:
    """A connection of its own, as a lane has it."""

    wire: Wire
    judge: Judge

    def admit(self, *group: Any) -> list[Verdict]:
        questions = [question_of(command) for command in group]
        facts = read(self.wire, questions).facts
        verdicts = self.judge.verdicts(questions, group, facts)
        answers = [
            (question.command_id, verdict)
            for question, verdict, known in zip(questions, verdicts, facts, strict=True)
            if isinstance(verdict, Answered) and verdict is not known.kept
        ]
        commit(self.wire, [v for v in verdicts if isinstance(v, Admission)], answers)
        return verdicts

    def one(self, command: Any) -> Verdict:
        (verdict,) = self.admit(command)
        return verdict

    def admitted(self, command: Any) -> Admission:
        verdict = self.one(command)
        assert isinstance(verdict, Admission)
        return verdict


def context(command_id: str | None = None) -> commands.CommandContext:
    return commands.CommandContext(command_id=command_id or uuid7(), actor="services/test")


def create(email: str, command_id: str | None = None) -> commands.CreateUserRequest:
    return commands.CreateUserRequest(
        context=context(command_id), user_id=uuid7(), email=email, name="Ada"
    )


def rename(
    user_id: str, name: str, version: int | None = None, command_id: str | None = None
) -> commands.UpdateUserRequest:
    return commands.UpdateUserRequest(
        context=context(command_id), user_id=user_id, name=name, expected_version=version
    )


def in_log(store: Engine, admission: Admission) -> None:
    with Wire(store, PREPARE_MARK) as wire:
        mark_appended(wire, [(admission.event_id, _place(store))])


def project(store: Engine, admission: Admission, *, email: str = "ada@x.org") -> None:
    """The row that the projection would write, and the settling that goes with it."""
    with store.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO users SELECT :key, 1, :email, :email, 'Ada', '', '{}', 1,"
                " now(), now(), NULL, NULL, now(), 1, 2, now(), 1, 2"
            ),
            {"key": admission.key, "email": email},
        )
    with Wire(store, PREPARE_SETTLE) as wire:
        wire.send(*settling([(admission.key, admission.event_id, _place(store))]))


def _place(store: Engine) -> Recorded:
    with store.connect() as connection:
        return Recorded(
            Position("users", 1, 2), connection.execute(text("SELECT now()")).scalar_one()
        )
