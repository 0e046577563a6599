"""`rollcall load`: what a file may say, what follows from a seed, and that repeating is safe."""

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rollcall_cli.__main__ import main
from rollcall_cli.appending import MOST, Appending, GivenUp
from rollcall_cli.exits import FAILED, OK, UNREACHABLE, USAGE
from rollcall_cli.importing import Import
from rollcall_cli.synthetic import ROLES, Synthetic
from rollcall_cli.users_file import Role, UsersFile
from rollcall_events import (
    EVENT_TYPES,
    LogUnavailable,
    NotAcknowledged,
    Position,
    Record,
    Recorded,
    Subscription,
    UnpublishedEvent,
)
from rollcall_events.codec import check_readable, encode
from rollcall_events.ids import is_uuid
from rollcall_events.memory import MemoryGroup, MemoryTopic

EDITOR = Role("018f0000-0000-7000-8000-000000000001", "Editor")
VIEWER = Role("018f0000-0000-7000-8000-000000000002", "viewer")
ROLES_KNOWN = {EDITOR.id: EDITOR, VIEWER.id: VIEWER, "editor": EDITOR, "viewer": VIEWER}
HERE = Import("people")


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No platform runs there."""
    monkeypatch.setenv("ROLLCALL_HOME", str(tmp_path / "state"))


def file_of(path: Path, text: str | bytes, of: Import = HERE) -> UsersFile:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return UsersFile(path, of, lambda: ROLES_KNOWN)


def told(path: Path, text: str | bytes) -> list[str]:
    """What the check finds, the rows that are right by their lines alone."""
    found = file_of(path, text).check()
    return [f"{f.line}: {f}" if hasattr(f, "field") else str(f.line) for f in found]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "1: email is missing"),
        ("email,nick\na@x.example,A\n", "1: nick is no column"),
        ("email,name,name\na@x.example,A,B\n", "1: name stands there more than once"),
        ("email,name\na@b@c,A\n", "2: email must be an e-mail address"),
        ("email,name\n\na@x.example,\n", "3: name must have 1 to 200 characters"),
        ('email,name\na@x.example,"A\nB"\n', "2: name must not contain control characters"),
        (f"email,name\na@x.example,{'a' * 201}\n", "2: name must have 1 to 200 characters"),
        ("email,name\na@x.example\n", "2: has 1 fields, not 2"),
        (b"email,name\na@x.example,\xff\n", "2: is not UTF-8"),
        ('email,name\n"a@x.example"b,A\n', "2: is no CSV"),
        ("email,name,locale\na@x.example,A,en_GB\n", "2: locale must be a language tag"),
        ("email,name,status\na@x.example,A,gone\n", "2: status must be active or suspended"),
        ("email,name,roles\na@x.example,A,editor;nobody\n", "2: roles have 'nobody'"),
        ('email,name,attributes\na@x.example,A,"[1]"\n', "2: attributes must be a JSON object"),
        ("email,name,attributes\na@x.example,A,{]\n", "2: attributes must be a JSON object"),
        ('email,name,attributes\na@x.example,A,"{""a"": NaN}"\n', "2: attributes must be a JSON"),
        ('email,name,attributes\na@x.example,A,"{""a"": 1e999}"\n', "2: attributes a value is no"),
        (f'email,name,attributes\na@x.example,A,"{{""a"": {"9" * 400}}}"\n', "2: attributes must"),
        (f"email,name,attributes\na@x.example,A,{'[' * 99_999}\n", "2: attributes must be a JSON"),
        ('email,name,attributes\na@x.example,A,"{""a"": ""\\ud800""}"\n', "2: attributes must"),
        ('email,name,attributes\na@x.example,A,"{""a"": ""\\u0000""}"\n', "2: attributes a value"),
        ("email,name\na@x.example,A\nA@x.EXAMPLE,B\n", "3: email is the same as in line 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(csv: Path, text: str | bytes, wrong: str) -> None:
    assert any(line.startswith(wrong) for line in told(csv, text))


def test_every_problem_is_told_and_nothing_is_loaded(
    csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv.write_text("email,name\na,A\nb@x.example,B\nc@x.example,\n")
    assert main(["load", str(csv)]) == FAILED
    assert capsys.readouterr().err == (
        f"{csv}:2: email must be an e-mail address, such as ada@example.com\n"
        f"{csv}:4: name must have 1 to 200 characters\n"
        f"rollcall: 2 problems in {csv}: nothing was loaded\n"
    )
    assert main(["load", str(csv), "--json"]) == FAILED
    said = json.loads(capsys.readouterr().out)
    assert said["problem_count"] == 2
    assert said["problems"][0].items() >= {"line": 2, "field": "email"}.items()


FILE = (
    "\ufeffName,Email,Roles,Attributes,Status,Locale\r\n"
    '"Bob, Jr.",Bob@X.example,Editor; viewer;editor,"{""level"": 3}",Suspended,de\r\n'
    "Ada,ada@x.example,,,,\r\n"
    f"Eve,eve@x.example,{EDITOR.id},,active,\r\n"
)


def test_a_file_becomes_creations_and_then_assignments(csv: Path) -> None:
    file = file_of(csv, FILE)
    assert [str(found) for found in file.check() if hasattr(found, "field")] == []
    events = list(file.events())
    messages: list[Any] = [event.message for event in events]
    assert [m.person.email for m in messages[:3]] == [
        "Bob@x.example",
        "ada@x.example",
        "eve@x.example",
    ]
    assert dict(messages[0].person.attributes) == {"level": 3}
    assert [m.status for m in messages[:3]] == [2, 1, 1]
    assert [(m.user_id == messages[0].user_id, m.role_name) for m in messages[3:]] == [
        (True, "Editor"),
        (False, "Editor"),
        (True, "viewer"),
    ]
    assert {event.source for event in events} == {"/imports/people"}
    assert all(event.imported for event in events)


def ids(events: Iterable[UnpublishedEvent]) -> list[tuple[str, str]]:
    return [(event.key, event.id) for event in events]


def test_ids_follow_from_the_label_and_the_email(csv: Path, tmp_path: Path) -> None:
    first = ids(file_of(csv, FILE).events())
    assert ids(file_of(csv, FILE).events()) == first
    lines = FILE.splitlines(keepends=True)
    turned = lines[0] + "".join(reversed(lines[1:])).replace("Bob@", "bob@")
    assert sorted(ids(file_of(csv, turned).events())) == sorted(first)
    others = ids(file_of(csv, FILE, Import("others")).events())
    assert not {i for pair in first for i in pair} & {i for pair in others for i in pair}
    assert len({event_id for _, event_id in first}) == len(first)
    assert all(is_uuid(i) and i[14] == "7" and i[19] in "89ab" for pair in first for i in pair)


def test_synthetic_events_follow_from_the_seed() -> None:
    def made(seed: int) -> list[tuple[str, str, bytes]]:
        events = Synthetic(HERE, 20, 300, seed).events()
        return [(e.key, e.id, e.message.SerializeToString(deterministic=True)) for e in events]

    assert made(1) == made(1)
    assert not {id_ for _, id_, _ in made(1)} & {id_ for _, id_, _ in made(2)}


@pytest.mark.parametrize(("users", "count"), [(1, 1 + len(ROLES)), (1, 500), (50, 2_000)])
def test_synthetic_events_are_as_many_as_asked_and_none_is_rejected(users: int, count: int) -> None:
    events = list(Synthetic(HERE, users, count, 7).events())
    assert len({event.id for event in events}) == len(events) == count
    types = Counter(event.type.rpartition(".")[2] for event in events)
    assert (types["UserCreatedEvent"], types["RoleCreatedEvent"]) == (users, len(ROLES))
    for event in events:
        check_readable(event, encode(event, "users"))
    group = grouped([encode(event, "users") for event in events])
    assert (group.outcome.applied, group.outcome.rejected) == (count, 0)
    if count >= 1_000:
        assert len(types) == 7


def grouped(*loads: Iterable[Record]) -> MemoryGroup[list[str]]:
    """A group that has folded all that was appended; its state is the ids, in order."""
    topic = MemoryTopic()
    handlers = dict.fromkeys(EVENT_TYPES, lambda event, state: state.append(event.id))
    group = MemoryGroup(topic, Subscription("g", "", "users", handlers), list[str]())
    for records in loads:
        for record in records:
            topic.append(record)
        group.run()
    return group


@pytest.mark.parametrize("interrupted_after", [0, 1, 150, 299, 300])
def test_an_interrupted_load_is_completed_by_repeating_it(interrupted_after: int) -> None:
    whole = [encode(event, "users") for event in Synthetic(HERE, 20, 300, 1).events()]
    group = grouped(whole[:interrupted_after], whole)
    assert sorted(group.state) == sorted(grouped(whole).state)
    assert (group.outcome.duplicates, group.outcome.rejected) == (interrupted_after, 0)


class Broker:
    """Acknowledges what it is given when that is waited for, or as `answers` says."""

    def __init__(self, answers: Iterable[Exception | None] = ()) -> None:
        self.failed = threading.Event()
        self.log: list[Record] = []
        self.most_on_way = 0
        self._answers: Iterator[Exception | None] = iter(answers)
        self.on_way: set[bytes] = set()

    def append(self, record: Record) -> Future[Recorded]:
        answer = next(self._answers, None)
        if isinstance(answer, LogUnavailable):
            raise answer
        assert record.key not in self.on_way, "two of one key are on their way"
        self.on_way.add(record.key)
        self.most_on_way = max(self.most_on_way, len(self.on_way))
        return _Lazy(self, record, answer)


class _Lazy(Future[Recorded]):
    """Lands when it is waited for."""

    def __init__(self, broker: Broker, record: Record, error: Exception | None):
        super().__init__()
        self._landing = broker, record, error

    def result(self, timeout: float | None = None) -> Recorded:
        broker, record, error = self._landing
        broker.on_way.remove(record.key)
        if error is not None:
            self.set_exception(error)
        else:
            broker.log.append(record)
            self.set_result(Recorded(Position("users", 0, len(broker.log)), datetime.now(UTC)))
        return super().result(timeout)


def test_appending_is_bounded_and_in_order_per_key() -> None:
    broker = Broker()
    appending = Appending(broker)
    records = [Record("users", str(n % 3_000).encode(), str(n).encode(), ()) for n in range(10_000)]
    records += [Record("users", f"u{n}".encode(), b"", ()) for n in range(MOST + 10)]
    for record in records:
        appending.append(record)
    appending.finish()
    assert appending.acknowledged == len(broker.log) == len(records)
    assert broker.most_on_way <= MOST
    of_one = [record.value for record in broker.log if record.key == b"7"]
    assert of_one == [b"7", b"3007", b"6007", b"9007"]


def test_what_was_not_acknowledged_is_appended_again() -> None:
    broker = Broker([LogUnavailable("away"), NotAcknowledged("lost"), LogUnavailable("away")])
    appending = Appending(broker)
    records = [Record("users", b"a", value, ()) for value in (b"1", b"2")]
    for record in records:
        appending.append(record)
    appending.finish()
    assert broker.log == records
    assert appending.acknowledged == 2


def test_a_broker_that_stays_away_is_given_up() -> None:
    appending = Appending(Broker([LogUnavailable("no broker answers")] * 100), patience=0.1)
    with pytest.raises(GivenUp, match="no broker answers"):
        appending.append(Record("users", b"a", b"", ()))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["users.csv", "--synthetic", "3"],
        ["--synthetic", "0"],
        ["--synthetic", "3", "--label", "a/b"],
    ],
)
def test_what_cannot_be_loaded_is_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        main(["load", *arguments])
    assert ending.value.code == USAGE


def test_what_is_asked_of_the_other_source_is_usage(csv: Path) -> None:
    assert main(["load", str(csv), "--seed", "1"]) == USAGE
    assert main(["load", "--synthetic", "10", "--events", "14"]) == USAGE


def test_a_dry_run_needs_no_platform_unless_roles_are_named(
    csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv.write_text("email,name\nada@x.example,Ada\n")
    assert main(["load", str(csv), "--dry-run", "--json"]) == OK
    assert json.loads(capsys.readouterr().out) == {
        "label": "people",
        "source": "/imports/people",
        "users": 1,
        "events": 1,
        "dry_run": True,
    }
    assert main(["load", str(csv)]) == UNREACHABLE
    csv.write_text("email,name,roles\nada@x.example,Ada,editor\n")
    assert main(["load", str(csv), "--dry-run"]) == UNREACHABLE
    assert main(["load", str(csv.with_name("nobody.csv"))]) == FAILED
