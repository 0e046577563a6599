"""Random schedules of the admission model, and what must be true after each of them.

Run: python -m model.admission_schedules [schedules] [seed]. Prints one line; exits 1 on a
violation and names the schedule.
"""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

from model.admission_model import (
    Answer,
    Command,
    Decision,
    Event,
    Folded,
    Store,
    Verdict,
    conflicts,
    fold,
)

KEYS, EMAILS, PARTITIONS = "abcdef", "xyz", 2
TYPES = ("created", "created", "email_changed", "email_changed", "email_changed", "deleted")
STEPS = 120
LONGEST_STALL = 60  # steps
DELIVERY_TIMEOUT = 12  # steps, after which a process does not append any more
ENOUGH = 20_000  # steps for a schedule to come to rest


@dataclass
class Attempt:
    """A process at work on a command, or recovery at work on an admission."""

    command: Command | None = None
    stage: str = "waiting"  # decided, admitted, appended, acknowledged
    decision: Decision | None = None
    event: Event | None = None
    until: int | None = None  # the step before which it must append, or not at all
    wakes: int = 0  # the step before which it stalls


class World:
    """Processes, the log and one store. Subclasses break a rule to show that it matters."""

    store = Store

    def __init__(self, rng: random.Random, outside: bool, restores: bool):
        self.rng, self.outside, self.restores = rng, outside, restores
        self.log: dict[int, list[Event]] = {p: [] for p in range(PARTITIONS)}
        self.db = self.store()
        self.clock = self.next_id = self.step = 0
        self.attempts: list[Attempt] = []
        self.commands: list[Command] = []  # that clients may repeat
        self.told: list[tuple[Command, Answer]] = []
        self.refused = 0
        self.problem: str | None = None
        self.older: Store | None = None  # a backup
        self.hold_from = 0  # when a delivery timeout since the last restore is over
        self.hold_ends: dict[int, int] | None = None  # the log's end then
        self.forgotten: set[int] = set()  # command ids whose answers a restore has lost

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def conflicts(self, folded: Folded) -> set[str]:
        return conflicts(folded.users)

    # --- what a command's process does -------------------------------------------------------

    def send(self) -> None:
        """A client sends a command, or repeats one, be it answered, lost or at work just now."""
        if self.commands and self.rng.random() < 0.4:
            command = self.rng.choice(self.commands[-3:])
            if command.type == "created":
                command = replace(command, key=self.rng.choice(KEYS))
        else:
            type_ = self.rng.choice(TYPES)
            email = None if type_ == "deleted" else self.rng.choice(EMAILS)
            command = Command(self.new_id(), self.rng.choice(KEYS), type_, email)
            self.commands.append(command)
        self.attempts.append(Attempt(command))

    def go_on(self) -> None:
        """One attempt takes its next step, or its process dies, gives up waiting or stalls."""
        attempt = self.rng.choice(self.attempts)
        fate = self.rng.random()
        if attempt.wakes > self.step:
            return
        if fate < 0.1:
            self.attempts.remove(attempt)
        elif fate < 0.15:
            attempt.wakes = self.step + self.rng.randint(1, LONGEST_STALL)
        elif attempt.stage == "waiting":
            self._consider(attempt)
        elif attempt.stage == "decided":
            self._admit_group()
        elif attempt.stage == "admitted":
            self._append(attempt)
        elif attempt.stage == "appended":
            self._acknowledge(attempt)
        else:
            self._mark(attempt)

    def _consider(self, attempt: Attempt) -> None:
        assert attempt.command
        outcome = self.db.consider(attempt.command, self.new_id())
        if isinstance(outcome, Decision):
            attempt.stage, attempt.decision = "decided", outcome
        elif isinstance(outcome, Answer):
            self._answer(attempt, outcome)
        elif outcome is Verdict.REFUSED:
            self._refuse(attempt)

    def _admit_group(self) -> None:
        awake = [a for a in self.attempts if a.wakes <= self.step]
        decided = [a for a in awake if a.stage == "decided"]
        group = self.rng.sample(decided, min(len(decided), self.rng.randint(1, 4)))
        verdicts = self.db.admit([a.decision for a in group if a.decision])
        for attempt, verdict in zip(group, verdicts, strict=True):
            if verdict is Verdict.REFUSED:
                self._refuse(attempt)
            elif verdict is Verdict.AGAIN:
                attempt.stage = "waiting"
            elif attempt.decision and attempt.decision.event:
                attempt.stage, attempt.event = "admitted", attempt.decision.event
            elif attempt.decision:
                self._answer(attempt, attempt.decision.answer)

    def _append(self, attempt: Attempt) -> None:
        if attempt.until is not None and self.step >= attempt.until:
            self.attempts.remove(attempt)
            return
        self.append(attempt.event)
        attempt.stage = "appended"

    def _acknowledge(self, attempt: Attempt) -> None:
        if attempt.command and attempt.decision:
            self.told.append((attempt.command, attempt.decision.answer))
        attempt.stage = "acknowledged"

    def _mark(self, attempt: Attempt) -> None:
        assert attempt.event
        if self.rng.random() < 0.8:  # else the mark is lost
            self.db.mark_appended(attempt.event.id)
        self.attempts.remove(attempt)

    def _answer(self, attempt: Attempt, answer: Answer) -> None:
        assert attempt.command
        self.told.append((attempt.command, answer))
        self.attempts.remove(attempt)

    def _refuse(self, attempt: Attempt) -> None:
        """Nothing is left of a refused command, and what it was refused for is in the log."""
        assert attempt.command
        self.attempts.remove(attempt)
        self.refused += 1
        if attempt.command.id in self.db.kept:
            self.problem = f"refused, and yet admitted before: {attempt.command}"
        if not self.outside and not self._log_refuses(attempt.command):
            self.problem = f"refused without a reason in the log: {attempt.command}"

    def _log_refuses(self, c: Command) -> bool:
        users = fold(e for lane in self.log.values() for e in lane).users
        state = users.get(c.key)
        refused = c.type != "created" if state is None else c.type == "created" or not state.live
        taken = [k for k, u in users.items() if c.email and u.live and u.email == c.email]
        return refused or any(k != c.key for k in taken)

    # --- the others --------------------------------------------------------------------------

    def append(self, e: Event | None) -> None:
        assert e
        self.clock += self.rng.random() < 0.5
        p = KEYS.index(e.key) % PARTITIONS
        self.log[p].append(replace(e, position=(self.clock, p, len(self.log[p]))))

    def recover(self) -> None:
        """On any replica, which may stall before it appends, until long after it settled."""
        for a in self.db.unsettled:
            if not a.appended:
                self.attempts.append(Attempt(stage="admitted", event=a.event))

    def publish_outside(self) -> None:
        type_ = self.rng.choice(TYPES)
        email = None if type_ == "deleted" else self.rng.choice(EMAILS)
        self.append(Event(self.new_id(), self.rng.choice(KEYS), type_, email))

    def project(self) -> None:
        p = self.rng.randrange(PARTITIONS)
        o = self.db.offsets.get(p, 0)
        if o < len(self.log[p]):
            self.db.project(p, self.log[p][o])
        self._end_hold()

    def _end_hold(self) -> None:
        if not self.db.is_held() or self.step < self.hold_from:
            return
        if self.hold_ends is None:
            self.hold_ends = {p: len(lane) for p, lane in self.log.items()}
        if all(self.db.offsets.get(p, 0) >= end for p, end in self.hold_ends.items()):
            self.db.followed = self.db.timeline

    def back_up(self) -> None:
        self.older = self.db.backup()

    def restore(self) -> None:
        """Postgres comes back as it was. What it forgot is appended in time or never."""
        assert self.older
        lost = set(self.db.kept) - set(self.older.kept)
        self.db, timeline = self.older.backup(), self.db.timeline + 1
        self.db.timeline = timeline
        self.forgotten |= lost
        self.commands = [c for c in self.commands if c.id not in lost]
        self.hold_from, self.hold_ends = self.step + DELIVERY_TIMEOUT, None
        for attempt in self.attempts:
            if attempt.event and attempt.event.command in lost:
                attempt.until = self.hold_from

    # --- a schedule --------------------------------------------------------------------------

    def run(self) -> None:
        while self.step < STEPS:
            self._do(self.rng.choice(self._moves()))
        self._rest(lambda: not self.db.unsettled, [self.project, self.recover_all])
        # A stalled process wakes long after everything settled.
        self._rest(lambda: not self.attempts, [self.project, self.go_on, self.recover_all])

    def _moves(self) -> list[Callable[[], None]]:
        moves = [self.send, self.send, self.project, self.project, self.project]
        moves += [self.go_on] * 5 if self.attempts else []
        rare = [self.recover, self.back_up]
        rare += [self.publish_outside] * 2 if self.outside else []
        rare += [self.restore] * 2 if self.restores and self.older else []
        return moves + [move for move in rare if self.rng.random() < 0.2]

    def recover_all(self) -> None:
        """Recovery that does not stall, so that a schedule ends."""
        for a in self.db.unsettled:
            if not a.appended and self.rng.random() < 0.1:
                self.append(a.event)
                self.db.mark_appended(a.event.id)

    def _rest(self, at_rest: Callable[[], bool], moves: list[Callable[[], None]]) -> None:
        while not (at_rest() and self._projected()):
            self._do(self.rng.choice([m for m in moves if m != self.go_on or self.attempts]))
            if self.step > ENOUGH:
                self.problem = self.problem or "something waits for ever"
                return

    def _projected(self) -> bool:
        return all(self.db.offsets.get(p, 0) >= len(lane) for p, lane in self.log.items())

    def _do(self, move: Callable[[], None]) -> None:
        self.step += 1
        move()

    # --- what must be true -------------------------------------------------------------------

    def check(self) -> str | None:
        """The first rule that does not hold, in words."""
        return self.problem or self._check_log() or self._check_answers() or self._check_inside()

    def _check_log(self) -> str | None:
        results = [fold(self._interleaved()) for _ in range(6)]
        conflicting = [self.conflicts(r) for r in results]
        if any(r != results[0] for r in results) or any(c != conflicting[0] for c in conflicting):
            return "interleavings differ"
        if (results[0].users, results[0].rejected) != (self.db.users, self.db.rejected):
            return "the read store is not the fold of the log"
        return None

    def _interleaved(self) -> list[Event]:
        lanes, order = [list(lane) for lane in self.log.values()], []
        while any(lanes):
            order.append(self.rng.choice([lane for lane in lanes if lane]).pop(0))
        return order

    def _check_answers(self) -> str | None:
        logged = {(e.command, e.id) for lane in self.log.values() for e in lane if e.command}
        in_log = {id_ for _, id_ in logged}
        if lost := [a for _, a in self.told if a.event and a.event not in in_log]:
            return f"acknowledged but not in the log: {lost}"
        events = [c for c, _ in logged if c not in self.forgotten]
        if len(set(events)) < len(events):
            return "one command id, two events"
        answers = {(c.id, a) for c, a in self.told if c.id not in self.forgotten}
        if len({id_ for id_, _ in answers}) < len(answers):
            return "one command id, two answers"
        return None

    def _check_inside(self) -> str | None:
        """What holds as far as commands go: without outside events, for all."""
        if self.outside:
            return None
        folded = fold(self._interleaved())
        if folded.rejected:
            return f"an admitted event was rejected: {folded.rejected}"
        if clashing := conflicts(folded.users):
            return f"two live users with one e-mail: {clashing}"
        for key, events in folded.history.items():
            if [e.sequence for e in events] != list(range(1, len(events) + 1)):
                return f"{key} has versions that are not those admitted"
        for command, answer in self.told:
            history = folded.history.get(answer.key, [])[: answer.version]
            if len(history) < answer.version or answer.event not in (None, history[-1].id):
                return f"acknowledged with a version it did not get: {answer}"
            if answer.event is None and history[-1].email != command.email:
                return f"nothing to change, but for a version without it: {command}, {answer}"
        return None


def world(kind: type[World], seed: int, number: int) -> World:
    """Schedule `number` of a seed, of each kind in turn: with outside events, with restores."""
    rng = random.Random(seed * 1_000_003 + number)
    return kind(rng, outside=number % 2 == 1, restores=number % 4 >= 2)


def main() -> None:
    schedules, seed = (int(a) for a in (sys.argv[1:] + ["20000", "1"][len(sys.argv) - 1 :]))
    told = refused = 0
    for number in range(schedules):
        one = world(World, seed, number)
        one.run()
        if problem := one.check():
            sys.exit(f"schedule {number} of seed {seed}: {problem}")
        told, refused = told + len(one.told), refused + one.refused
    sys.stdout.write(
        f"{schedules} schedules, {told} answered and {refused} refused commands, no violation"
        f" (seed {seed})\n"
    )


if __name__ == "__main__":
    main()
