"""Random life on a platform: a Hypothesis state machine whose rules are all possible always.

Each rule draws little, so that a run of many steps fits into Hypothesis' buffer.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from model.platform_model import Body, Command
from model.run import Run
from model.vocabulary import (
    ATTRIBUTES,
    BAD,
    FILTERS,
    LETTERS,
    ORDERS,
    ROLE_FIELDS,
    USER_FIELDS,
    in_letters,
    role_body,
    user_body,
    word_of,
)

slots = st.integers(0, 29)  # see Machine._word
whom = st.integers(0, 31)  # see Machine._pick
values = st.integers(0, 9)
letters = st.sampled_from((*LETTERS,))
matches = st.sampled_from(("none", "none", "none", "current", "current", "old", "future"))
keys = st.sampled_from((None, None, "k1", "k2", "k3"))
user_fields = st.sets(st.sampled_from(USER_FIELDS), min_size=1, max_size=3)
role_fields = st.sets(st.sampled_from(ROLE_FIELDS), min_size=1, max_size=2)

Rule = Callable[..., None]


def step(**draws: Any) -> Callable[[Rule], Rule]:
    """A rule that counts how often it is applied."""

    applied: Callable[[Rule], Rule] = rule(**draws)

    def counting(method: Rule) -> Rule:
        @wraps(method)
        def counted(machine: "Machine", **drawn: Any) -> None:
            machine.run.counts.steps += 1
            method(machine, **drawn)

        return applied(counted)

    return counting


class Machine(RuleBasedStateMachine):
    """One life, on the platform of a run."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run
        self.run.counts.runs += 1
        self._keyed: list[Command] = []  # creations that had an Idempotency-Key

    def teardown(self) -> None:
        if not self.run.differs:
            self.run.finish()

    @initialize()
    def some(self) -> None:
        """Whatever rules a run is left with, there is something to apply them to."""
        self.run.counts.steps += 1
        for word in ("amy", "ben", "cem"):
            body = {**self._user(word), "attributes": {"team": "red", "home": {"floor": 1}}}
            self.run.perform(Command("create_user", body=body))
        for word in ("any", "one"):
            self.run.perform(Command("create_role", body=self._role(word)))
        for user in [*self.run.state.users][:2]:
            self.run.perform(Command("assign_role", user, [*self.run.state.roles][-1]))

    # --- users -------------------------------------------------------------------------------

    @step(slot=slots, letter=letters, value=values, key=keys, quoted=st.booleans())
    def create_user(
        self, slot: int, letter: str, value: int, key: str | None, quoted: bool
    ) -> None:
        optional: Body = {"locale": "de-CH"} if value % 2 else {}
        if value % 3 == 0:
            optional = {**optional, "attributes": {"home": {"floor": value}, "team": "red"}}
        body = {**self._user(word_of(slot), letter), **optional}
        self._create("create_user", body, key, quoted=quoted)

    @step(who=whom, letter=letters)
    def create_user_again(self, who: int, letter: str) -> None:
        """With the e-mail of another, be it live or deleted."""
        user = self.run.state.users.get(self._pick("user", who))
        email = user.fields["email"] if user else self._user("new")["email"]
        self.run.perform(
            Command("create_user", body={**self._user("next"), "email": in_letters(letter, email)})
        )

    @step(who=whom, fields=user_fields, slot=slots, value=values, match=matches)
    def patch_user(self, who: int, fields: set[str], slot: int, value: int, match: str) -> None:
        choices = {
            **self._user(word_of(slot)),
            "status": ("active", "suspended")[value % 2],
            "locale": (None, "en", "pt-BR")[value % 3],
            "attributes": ATTRIBUTES[value],
        }
        self._patch("user", who, {name: choices[name] for name in sorted(fields)}, match)

    @step(who=whom, value=values, match=matches)
    def patch_attributes(self, who: int, value: int, match: str) -> None:
        self._patch("user", who, {"attributes": ATTRIBUTES[value]}, match)

    @step(who=whom, other=whom, letter=letters, match=matches)
    def patch_email(self, who: int, other: int, letter: str, match: str) -> None:
        """To that of a user, who may be the same one."""
        user = self.run.state.users.get(self._pick("user", other))
        email = user.fields["email"] if user else self._user("new")["email"]
        self._patch("user", who, {"email": in_letters(letter, email)}, match)

    @step(who=whom, fields=user_fields | st.just(set[str]()), match=matches)
    def patch_user_to_the_same(self, who: int, fields: set[str], match: str) -> None:
        self._patch_to_the_same("user", who, fields, match)

    @step(who=whom, match=matches)
    def delete_user(self, who: int, match: str) -> None:
        self._delete("user", who, match)

    @step(who=whom)
    def replace_user(self, who: int) -> None:
        """Delete, and create again with the same e-mail, back to back."""
        id_ = self._pick("user", who)
        user = self.run.state.users.get(id_)
        self.run.perform(Command("delete_user", id_))
        if user:
            body = {**self._user("next"), "email": user.fields["email"]}
            self.run.perform(Command("create_user", body=body))

    @step(who=whom, which=whom, match=matches)
    def assign_role(self, who: int, which: int, match: str) -> None:
        """Now and then to one who has it."""
        id_, role = self._held(who) if which < 6 else self._any(who, which)
        if_match = self._if_match("user", id_, match)
        self.run.perform(Command("assign_role", id_, role, if_match=if_match))

    @step(who=whom, which=whom, match=matches)
    def unassign_role(self, who: int, which: int, match: str) -> None:
        """Mostly from one who has it, where there is one."""
        id_, role = self._held(who) if which < 24 else self._any(who, which)
        if_match = self._if_match("user", id_, match)
        self.run.perform(Command("unassign_role", id_, role, if_match=if_match))

    # --- roles -------------------------------------------------------------------------------

    @step(slot=slots, value=values, key=keys, quoted=st.booleans())
    def create_role(self, slot: int, value: int, key: str | None, quoted: bool) -> None:
        self._create("create_role", self._role(word_of(slot), value), key, quoted=quoted)

    @step(which=whom, letter=letters)
    def create_role_again(self, which: int, letter: str) -> None:
        """With the name of another, be it live or deleted, or protected."""
        role = self.run.state.roles.get(self._pick("role", which), self.run.admin)
        body = {"name": in_letters(letter, role.fields["name"]), "permissions": []}
        self.run.perform(Command("create_role", body=body))

    @step(which=whom, fields=role_fields, slot=slots, value=values, match=matches)
    def patch_role(self, which: int, fields: set[str], slot: int, value: int, match: str) -> None:
        choices = self._role(word_of(slot), value)
        self._patch("role", which, {name: choices[name] for name in sorted(fields)}, match)

    @step(which=whom, other=whom, letter=letters, match=matches)
    def patch_role_name(self, which: int, other: int, letter: str, match: str) -> None:
        """To that of a role, which may be the same one, or a protected one."""
        role = self.run.state.roles.get(self._pick("role", other), self.run.admin)
        self._patch("role", which, {"name": in_letters(letter, role.fields["name"])}, match)

    @step(which=whom, fields=role_fields | st.just(set[str]()), match=matches)
    def patch_role_to_the_same(self, which: int, fields: set[str], match: str) -> None:
        self._patch_to_the_same("role", which, fields, match)

    @step(which=whom, match=matches)
    def delete_role(self, which: int, match: str) -> None:
        self._delete("role", which, match)

    @step(
        change=st.sampled_from((None, {"name": "boss"}, {"name": "ADMIN"}, {"name": "admin"}, {})),
        match=matches,
    )
    def touch_admin(self, change: Body | None, match: str) -> None:
        """Refused, or nothing to change; None: delete it."""
        id_ = self.run.admin.id
        if_match = self._if_match("role", id_, match)
        kind = "delete_role" if change is None else "patch_role"
        self.run.perform(Command(kind, id_, body=change or {}, if_match=if_match))

    # --- repeats and bad input ---------------------------------------------------------------

    @step(which=st.integers(0, 7), quoted=st.booleans())
    def repeat(self, which: int, quoted: bool) -> None:
        """The same request with the same key, after whatever has happened since."""
        if self._keyed:
            command = self._keyed[which % len(self._keyed)]
            self.run.perform(replace(command, quoted=quoted))
        else:
            self._create("create_user", self._user("key"), "k0", quoted=quoted)

    @step(which=st.integers(0, 7))
    def reuse_key(self, which: int) -> None:
        """The same key with another body."""
        if self._keyed:
            command = self._keyed[which % len(self._keyed)]
            name = f"other {self.run.tag}"
            self.run.perform(replace(command, body={**command.body, "name": name}))
        else:
            self._create("create_role", self._role("key"), "k0", quoted=False)

    @step(who=whom, which=st.integers(0, 12))
    def send_nonsense(self, who: int, which: int) -> None:
        for kind, bodies in BAD.items():
            if which < len(bodies):
                id_ = "" if kind.startswith("create") else self._pick(kind[6:], who)
                self.run.perform(Command(kind, id_, body=bodies[which]))
                return
            which -= len(bodies)

    # --- queries -----------------------------------------------------------------------------

    @step(who=whom, cached=st.booleans())
    def read_user(self, who: int, cached: bool) -> None:
        self.run.read("user", self._pick("user", who), cached=cached)

    @step(which=whom, cached=st.booleans())
    def read_role(self, which: int, cached: bool) -> None:
        self.run.read("role", self._pick("role", which), cached=cached)

    @step(
        by=st.sampled_from(FILTERS),
        who=whom,
        letter=letters,
        order=st.sampled_from(("", *ORDERS)),
        page_size=st.sampled_from((2, 3, 50)),
    )
    def list_users(self, by: str, who: int, letter: str, order: str, page_size: int) -> None:
        role = self.run.state.roles.get(self._pick("role", who), self.run.admin)
        person = self._user(word_of(who % 30))
        filters: Mapping[str, str] = {
            "none": {},
            "name": {"q": in_letters(letter, person["name"])},
            "role": {"role": in_letters(letter, role.fields["name"])},
            "role_id": {"role": role.id},
            "status": {"status": ("active", "suspended")[who % 2]},
            "email": {"email": in_letters(letter, person["email"])},
        }[by]
        self.run.list_("user", {"q": self.run.tag, **filters}, order, page_size)

    @step(which=whom, letter=letters)
    def list_roles(self, which: int, letter: str) -> None:
        role = self.run.state.roles.get(self._pick("role", which), self.run.admin)
        self.run.list_("role", {"name": in_letters(letter, role.fields["name"])})

    # --- who and what ------------------------------------------------------------------------

    def _user(self, word: str, letter: str = "lower") -> dict[str, Any]:
        body = user_body(self.run.tag, word)
        return {**body, "email": in_letters(letter, body["email"])}

    def _role(self, word: str, value: int = 0) -> dict[str, Any]:
        return role_body(self.run.tag, word, value)

    def _pick(self, noun: str, number: int) -> str:
        """The id of a live one; for the last few numbers of a deleted, or of an unknown one."""
        if number == 31:
            return str(uuid.uuid4())
        those = [a for a in self.run.state.of(noun).values() if a.id != self.run.admin.id]
        live = [a.id for a in those if a.live] or [self._new(noun)]
        dead = [a.id for a in those if not a.live]
        chosen = dead if dead and number >= 28 else live
        return chosen[number % len(chosen)]

    def _any(self, who: int, which: int) -> tuple[str, str]:
        return self._pick("user", who), self._pick("role", which)

    def _held(self, number: int) -> tuple[str, str]:
        """The ids of a live user and of one of their roles; of any where nobody has one."""
        live = (user for user in self.run.state.users.values() if user.live)
        held = [(user.id, role) for user in live for role in user.fields["roles"]]
        return held[number % len(held)] if held else self._any(number, number)

    def _new(self, noun: str) -> str:
        """The id of one that is made because there is none left."""
        word = f"new{len(self.run.state.of(noun))}"
        body = self._user(word) if noun == "user" else self._role(word)
        self.run.perform(Command(f"create_{noun}", body=body))
        return [*self.run.state.of(noun)][-1]

    def _if_match(self, noun: str, id_: str, match: str) -> int | None:
        aggregate = self.run.state.of(noun).get(id_)
        version = aggregate.version if aggregate else 1
        return {"none": None, "current": version, "old": version - 1, "future": version + 1}[match]

    def _create(self, kind: str, body: Body, key: str | None, *, quoted: bool) -> None:
        command = Command(kind, body=body, key=key and f"{self.run.tag}-{key}", quoted=quoted)
        self.run.perform(command)
        if key:
            self._keyed.append(command)

    def _patch(self, noun: str, number: int, body: Body, match: str) -> None:
        id_ = self._pick(noun, number)
        if_match = self._if_match(noun, id_, match)
        self.run.perform(Command(f"patch_{noun}", id_, body=body, if_match=if_match))

    def _patch_to_the_same(self, noun: str, number: int, names: set[str], match: str) -> None:
        id_ = self._pick(noun, number)
        aggregate = self.run.state.of(noun).get(id_)
        fields = aggregate.fields if aggregate else {}
        body = {name: fields[name] for name in sorted(names) if name in fields}
        if_match = self._if_match(noun, id_, match)
        self.run.perform(Command(f"patch_{noun}", id_, body=body, if_match=if_match))

    def _delete(self, noun: str, number: int, match: str) -> None:
        id_ = self._pick(noun, number)
        if_match = self._if_match(noun, id_, match)
        self.run.perform(Command(f"delete_{noun}", id_, if_match=if_match))
