"""One run against the platform: every answer is compared with the model's, and the end state."""

import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from threading import Event

from model.comparing import differences, of_bodies
from model.counts import Counts
from model.platform_model import ADMIN, Aggregate, Body, Command, Expected, Rules, State
from model.remote import Answer, Remote

RESOLVED_WITHIN = 20.0  # seconds; recovery appends again after 5
_LOOK = 0.05  # seconds between two looks
_SHOWN = 12  # steps that a difference repeats


class Difference(AssertionError):
    """The platform and the model disagree."""


class Run:
    """state: the model's. tag: in every e-mail and name of this run, and in no other's."""

    def __init__(
        self, remote: Remote, rules: Rules, counts: Counts, resolved_within: float = RESOLVED_WITHIN
    ):
        self.tag = uuid.uuid4().hex[:12]
        self.counts = counts
        self.differs = False
        self._remote = remote
        self._rules = rules
        self._resolved_within = resolved_within
        self._token: str | None = None
        self._steps: list[str] = []
        self._pause = Event()  # never set: the pause between two looks
        self.admin = self._read_admin()
        self.state = State().with_role(self.admin)

    # --- commands ----------------------------------------------------------------------------

    def perform(self, command: Command) -> None:
        """Send it, resolve what came of it if that is not known, and compare."""
        answer = self._remote.send(command, self._token)
        self._note(command, answer)
        if not answer.is_unknown:
            self._compare(command, answer)
            return
        self.counts.add(command.kind, "unknown")
        if command.creates:
            self._resolve_creation(command)
        else:
            self._resolve_change(command)

    def _compare(self, command: Command, answer: Answer) -> None:
        if command.creates and answer.status == 201:
            command = replace(command, id=str(answer.body["id"]))
        expected, after = self._rules.perform(self.state, command)
        self._require(differences(expected, answer))
        self.counts.add(command.kind, _label(expected, changed=after != self.state))
        self._token = answer.token or self._token
        self.state = after
        if answer.status in (200, 201):
            self.state = self._rules.learned(self.state, command.noun, answer.body)
        if answer.status == 201 and command.key and not expected.repeat:
            self.state = self._rules.remembered(self.state, command, answer.body)

    def _resolve_creation(self, command: Command) -> None:
        """Repeat it. With its Idempotency-Key that gives the first answer; without one a 409
        says that it was made, if nobody else has the value."""
        end = time.monotonic() + self._resolved_within
        while (answer := self._remote.send(command, self._token)).is_unknown:
            self._require_time(end, command)
        expected, _ = self._rules.perform(self.state, replace(command, id="found"))
        if expected.status == 201 and answer.status == 409 and not command.key:
            found = replace(command, id=self._find(command, end))
            _, self.state = self._rules.perform(self.state, found)
        else:
            self._compare(command, answer)

    def _find(self, command: Command, end: float) -> str:
        name = "email" if command.noun == "user" else "name"
        filters = {name: command.body[name]}
        while True:
            page = self._remote.get(f"/v1/{command.noun}s", None, filters)
            if page.status == 200 and (found := page.body[f"{command.noun}s"]):
                return str(found[0]["id"])
            self._require_time(end, command)

    def _resolve_change(self, command: Command) -> None:
        """Either it was done or it was not; an empty patch waits for what is on its way."""
        _, after = self._rules.perform(self.state, command)
        wanted = after.of(command.noun).get(command.id)
        if after == self.state or wanted is None:
            return
        end = time.monotonic() + self._resolved_within
        probe = Command(f"patch_{command.noun}", command.id)
        while not _shows(wanted, answer := self._remote.send(probe, self._token)):
            if time.monotonic() > end:
                self._compare(probe, answer)
                return
            self._pause.wait(_LOOK)
        self._token = answer.token or self._token
        while not wanted.live and self._is_read(command):
            self._require_time(end, command)
        self.state = after

    def _is_read(self, command: Command) -> bool:
        return self._remote.get(f"/v1/{command.noun}s/{command.id}", None).status == 200

    def _require_time(self, end: float, command: Command) -> None:
        if time.monotonic() > end:
            self._require([f"what became of {command} is not known in time"])
        self._pause.wait(_LOOK)

    # --- queries -----------------------------------------------------------------------------

    def read(self, noun: str, id_: str, *, cached: bool = False) -> None:
        """GET one; cached: with the ETag that the reader is supposed to have."""
        expected = self._rules.read(self.state, noun, id_)
        headers = {"If-None-Match": f'"{expected.version or 1}"'} if cached else {}
        answer = self._remote.get(f"/v1/{noun}s/{id_}", self._token, headers=headers)
        self._note(f"read {noun} {id_}", answer)
        if cached and expected.status == 200:
            expected = Expected(304, expected.version)
        self._require(differences(expected, answer))
        self.counts.add(f"get_{noun}", _label(expected, changed=True))
        if answer.status == 200:
            self.state = self._rules.learned(self.state, noun, answer.body)

    def list_(
        self, noun: str, filters: Mapping[str, str], order: str = "", page_size: int = 50
    ) -> None:
        """GET all pages of a list."""
        parameters: dict[str, str | int] = {**filters, "page_size": page_size}
        if order:
            parameters["order_by"] = order
        pages = list(self._remote.pages(noun, self._token, parameters))
        self._note(f"list {noun}s {parameters}", pages[-1])
        self._require([f"page of status {p.status}: {p.body}" for p in pages if p.status != 200])
        parts = [page.body[f"{noun}s"] for page in pages]
        shown = [item for part in parts for item in part]
        expected = self._rules.listed(self.state, noun, filters)
        self._require(_of_lists(expected, shown))
        self._require(_of_order(shown, order))
        self._require(f"{len(p)} on a page of {page_size}" for p in parts if len(p) > page_size)
        self.counts.add(f"list_{noun}s", "200 pages" if len(pages) > 1 else "200")

    def finish(self) -> None:
        """Everything that the run has touched is as the model says, however one asks for it."""
        for noun in ("user", "role"):
            for id_ in self.state.of(noun):
                self.read(noun, id_)
        self.list_("user", {"q": self.tag})
        for email in {user.fields["email"].lower() for user in self.state.users.values()}:
            self.list_("user", {"email": email})
        for name in {role.fields["name"].lower() for role in self.state.roles.values()}:
            self.list_("role", {"name": name})

    def _read_admin(self) -> Aggregate:
        page = self._remote.get("/v1/roles", None, {"name": ADMIN})
        (role,) = page.body["roles"]
        shown = {n: role[n] for n in ("name", "description", "permissions")}
        return Aggregate(role["id"], role["version"], shown, role["created_at"], role["updated_at"])

    # --- what a difference says ---------------------------------------------------------------

    def _note(self, step: Command | str, answer: Answer) -> None:
        self._steps.append(f"{step} → {answer.status} {answer.headers.get('etag', '')}")

    def _require(self, found: Iterable[str]) -> None:
        if problems := list(found):
            self.differs = True
            self.counts.differences += 1
            steps = "\n  ".join(self._steps[-_SHOWN:])
            raise Difference("; ".join(problems) + f"\nafter\n  {steps}")


def _shows(wanted: Aggregate, answer: Answer) -> bool:
    if not wanted.live:
        return answer.status == 404
    return answer.headers.get("etag") == f'"{wanted.version}"'


def _label(expected: Expected, *, changed: bool) -> str:
    """How an answer is counted."""
    if expected.problem:
        return f"{expected.status} {expected.problem}"
    if expected.repeat:
        return f"{expected.status} repeated"
    return f"{expected.status}" if changed else f"{expected.status} unchanged"


def _of_lists(expected: list[Body], shown: list[Body]) -> Iterator[str]:
    bodies = {body["id"]: body for body in expected}
    ids = [item["id"] for item in shown]
    if sorted(ids) != sorted(bodies):
        yield f"lists {ids} in place of {[*bodies]}"
    for item in shown:
        yield from of_bodies(bodies.get(item["id"], {}), item)


def _of_order(shown: list[Body], order: str) -> list[str]:
    if not order:
        return []
    name = order.removeprefix("-")
    values = [str(item[name]).lower() for item in shown]
    right = values == sorted(values, reverse=order.startswith("-"))
    return [] if right else [f"not in the order {order}: {values}"]
