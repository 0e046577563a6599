"""What can be asked about the past, and what the model answers: as the API shows it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from history.model import Entry, Model, State, unique_key
from history.record import PREFIX

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = 253_370_764_800_000_000  # microseconds; later than anything

Json = dict[str, Any]


@dataclass(frozen=True)
class One:
    """A user at a moment, or at a version, or as it is."""

    id: str
    at: int | None = None
    version: int | None = None


@dataclass(frozen=True)
class Listing:
    """All pages of a list of users. Every filter that is given has to hold."""

    at: int | None = None
    q: str | None = None
    email: str | None = None
    role: str | None = None
    status: str | None = None
    order_by: str = "created_at"
    page_size: int = 50


@dataclass(frozen=True)
class Trail:
    """All pages of the audit trail. user: only its timeline."""

    user: str | None = None
    subject: str | None = None
    type: str | None = None
    actor: str | None = None
    since: int | None = None
    until: int | None = None
    order_by: str = "recorded_at"
    page_size: int = 50


Question = One | Listing | Trail


@dataclass(frozen=True)
class Missing:
    """404. deleted_at: where it says so."""

    deleted_at: str | None = None


@dataclass(frozen=True)
class Refused:
    """Anything that is no answer."""

    status: int
    why: str


Answer = Json | list[Json] | Missing | Refused


def time_of(at: int) -> str:
    """RFC 3339 with as many digits as the API shows."""
    moment = EPOCH + timedelta(microseconds=at)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Teller:
    """The model's answers."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def answer(self, question: Question) -> Answer:
        match question:
            case One():
                return self._one(question)
            case Listing():
                return list(self._listed(question))
            case Trail():
                return self._trail(question)

    # -- users ------------------------------------------------------------------------------

    def _one(self, question: One) -> Answer:
        at = NOW if question.at is None else question.at
        if question.version is None:
            state = self.model.state_at(question.id, at)
        else:
            entry = self.model.entry_of(question.id, question.version)
            state, at = (entry.state, entry.at) if entry else (None, at)
        if state is None or state.collection != "users":
            return Missing()
        if state.deleted is not None:
            return Missing(time_of(state.deleted))
        present = question.at is None and question.version is None
        return self.shown(question.id, state, at, conflict=present and self._conflict(state))

    def _listed(self, question: Listing) -> Iterator[Json]:
        at = NOW if question.at is None else question.at
        name = question.order_by.removeprefix("-")
        found = [u for u in self._live(at) if self._fits(u[1], question, at)]
        found.sort(key=lambda u: (_sort_value(u[1], name), u[0]), reverse=name != question.order_by)
        for id_, state in found:
            conflict = question.at is None and self._conflict(state)
            yield self.shown(id_, state, at, conflict=conflict)

    def _live(self, at: int) -> list[tuple[str, State]]:
        states = ((id_, self.model.state_at(id_, at)) for id_ in self.model.keys("users"))
        return [(id_, state) for id_, state in states if state and state.deleted is None]

    def _fits(self, state: State, question: Listing, at: int) -> bool:
        fields = state.fields
        if question.q is not None:
            texts = [fields["name"].lower(), fields["email"].lower()]
            if not any(question.q.lower() in text for text in texts):
                return False
        if question.email is not None and unique_key(question.email) != state.value:
            return False
        if question.status is not None and question.status != fields["status"]:
            return False
        return question.role is None or self._holds(state, question.role, at)

    def _holds(self, user: State, asked: str, at: int) -> bool:
        for id_, assigned in user.roles.items():
            role = self._role(id_, at)
            if role is None and asked in (id_, assigned):
                return True
            if role and role.deleted is None and (asked == id_ or unique_key(asked) == role.value):
                return True
        return False

    def _role(self, id_: str, at: int) -> State | None:
        state = self.model.state_at(id_, at)
        return state if state and state.collection == "roles" else None

    def _conflict(self, state: State) -> bool:
        """Whether another live user has had the e-mail for longer."""
        others = [s for _, s in self._live(NOW) if s.value == state.value and s is not state]
        return bool(state.value) and any(other.since < state.since for other in others)

    def shown(self, id_: str, state: State, at: int, *, conflict: bool) -> Json:
        return {
            "id": id_,
            **state.fields,
            "locale": state.fields["locale"] or None,
            "conflict": conflict,
            "roles": self.roles_shown(state.roles, at),
            "version": state.version,
            "created_at": time_of(state.created),
            "updated_at": time_of(state.updated),
            "last_login_at": None if state.last_login is None else time_of(state.last_login),
        }

    def roles_shown(self, assigned: Mapping[str, str], at: int) -> list[Json]:
        """By their names at that moment; those deleted by then are not, and those that had not been
        made by then are shown by the name that they were assigned with."""
        shown = []
        for id_, name in assigned.items():
            role = self._role(id_, at)
            if role is None or role.deleted is None:
                shown.append({"id": id_, "name": role.fields["name"] if role else name})
        return sorted(shown, key=lambda role: (role["name"], role["id"]))

    # -- the audit trail ----------------------------------------------------------------------

    def _trail(self, question: Trail) -> Answer:
        subject = f"users/{question.user}" if question.user else question.subject
        entries = self.model.entries
        if subject is not None:
            _, _, key = subject.partition("/")
            entries = self.model.of_key.get(key, [])
            entries = [e for e in entries if e.record.header["ce_subject"] == subject]
            if not entries:
                return Missing()
        found = [e for e in entries if _is_asked(e, question)]
        found.sort(
            key=lambda e: (e.at, e.record.partition, e.record.offset),
            reverse=question.order_by.startswith("-"),
        )
        return [self._event(entry) for entry in found]

    def _event(self, entry: Entry) -> Json:
        record, known = entry.record, entry.key is not None
        header = record.header if known else {}
        return {
            "id": header.get("ce_id"),
            "type": header.get("ce_type"),
            "version": entry.version,
            "recorded_at": time_of(entry.at),
            "occurred_at": _occurred(entry) if known else None,
            "actor": self._actor(header.get("ce_actor")),
            "correlation_id": header.get("ce_correlationid"),
            "causation_id": header.get("ce_causationid"),
            "subject": header.get("ce_subject"),
            "rejected": entry.rejected,
            "changes": entry.changes,
            "position": {"partition": record.partition, "offset": record.offset},
        }

    def _actor(self, actor: str | None) -> Json | None:
        """A user with the name that it has, or had when it was deleted; a service with its own."""
        if actor is None:
            return None
        collection, _, key = actor.partition("/")
        state = self.model.state_at(key, NOW) if collection == "users" else None
        name = key if collection == "services" else None
        return {"id": actor, "name": (state.fields["name"] or None) if state else name}


def _occurred(entry: Entry) -> str:
    return time_of((entry.record.occurred_at - EPOCH) // timedelta(microseconds=1))


def _is_asked(entry: Entry, question: Trail) -> bool:
    header = entry.record.header if entry.key is not None else {}
    type_ = question.type and (question.type if "." in question.type else PREFIX + question.type)
    return (
        type_ in (None, header.get("ce_type"))
        and question.actor in (None, header.get("ce_actor"))
        and (question.since is None or entry.at >= question.since)
        and (question.until is None or entry.at <= question.until)
    )


def _sort_value(state: State, name: str) -> Any:
    match name:
        case "created_at":
            return state.created
        case "updated_at":
            return state.updated
        case "email":
            return state.value
    return state.fields[name]
