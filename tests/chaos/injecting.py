"""Records that others append: wrong ones, and ones that the code cannot handle yet."""

import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from chaos.cluster import Cluster
from e2e.outside import record_of
from e2e.plain_publisher import append
from e2e.waiting import eventually
from faults.fold import Place
from faults.log import PARTITIONS, PREFIX

from rollcall.users.v1 import events_pb2 as pb

_UNKNOWN = f"{PREFIX}UserMergedEvent"
_BEHIND = 2  # records behind each that cannot be handled
_CREATED_WITHIN = 30.0  # seconds
_TIMEOUT = 5.0


@dataclass
class Injected:
    """malformed: records that are no event. refused: events that cannot follow. unknown, unhandled:
    the users with an event that user-management, or every notifier, cannot handle."""

    malformed: set[Place] = field(default_factory=set)
    refused: set[Place] = field(default_factory=set)
    unknown: dict[str, Place] = field(default_factory=dict)
    unhandled: set[str] = field(default_factory=set)


class Injector:
    """The users concerned are its own: no other client knows them."""

    def __init__(self, cluster: Cluster):
        self.injected = Injected()
        self._cluster = cluster
        self._ways: itertools.cycle[Callable[[], None]] = itertools.cycle(
            (
                self._undecodable,
                self._unknown,
                self._update_of_nobody,
                self._unhandled,
                self._wrong_partition,
            )
        )

    def inject(self) -> None:
        """One more, of the next kind."""
        next(self._ways)()

    def _undecodable(self) -> None:
        spoilt = _update(self._user(), "Spoilt") | {"value": "ff" * 40}
        self.injected.malformed.add(self._publish(spoilt))

    def _wrong_partition(self) -> None:
        user = self._user()
        partition, _ = self._publish(_update(user, "Right"))
        elsewhere = {"partition": (partition + 1) % PARTITIONS}
        self.injected.malformed.add(self._publish(_update(user, "Wrong") | elsewhere))

    def _update_of_nobody(self) -> None:
        self.injected.refused.add(self._publish(_update(str(uuid.uuid4()), "Nobody")))

    def _unknown(self) -> None:
        user = self._user()
        record = _update(user, "Unknown")
        record["headers"]["ce_type"] = _UNKNOWN
        self.injected.unknown[user] = self._publish(record)
        self._follow(user)

    def _unhandled(self) -> None:
        user = self._user()
        (self._cluster.unhandled / user).touch()
        self.injected.unhandled.add(user)
        self._publish(_update(user, "Unhandled"))
        self._follow(user)

    def _follow(self, user: str) -> None:
        for number in range(_BEHIND):
            self._publish(_update(user, f"Behind {number}"))

    def _user(self) -> str:
        """A new one, by a command that is repeated until it is acknowledged."""
        name = f"injected-{uuid.uuid4().hex}"
        return eventually(lambda: self._created(name), within=_CREATED_WITHIN)

    def _created(self, name: str) -> str:
        headers = {"Authorization": f"Bearer {self._cluster.token}", "Idempotency-Key": name}
        try:
            answer = httpx.post(
                f"{self._cluster.url}/v1/users",
                json={"email": f"{name}@example.com", "name": "Injected"},
                headers=headers,
                timeout=_TIMEOUT,
            )
        except httpx.TransportError:
            return ""
        return str(answer.json()["id"]) if answer.status_code == 201 else ""

    def _publish(self, record: dict[str, Any]) -> Place:
        [place] = append(self._cluster.bootstrap_servers, [record])
        return place


def _update(user: str, name: str) -> dict[str, Any]:
    return record_of(user, pb.UserUpdatedEvent(user_id=user, person=pb.Person(name=name)))
