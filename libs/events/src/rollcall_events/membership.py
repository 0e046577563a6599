"""Whether the group still knows a member that believes to be one.

A client can go on without a word after its coordinator was away: it heartbeats no more, fetches
nothing, and keeps what it held while the group gives it to others (seen with librdkafka 2.16 and
the protocol of KIP-848, about once in fifty restarts of a broker). Only the broker can tell.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from rollcall_events.settings import KafkaSettings

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between questions
FORGOTTEN_AFTER = 15.0  # seconds of disagreement; a rebalance takes a few
_FRESH = 2.0  # seconds that what the member said of itself is good for
_TIMEOUT = 4.0  # seconds for an answer


class Membership:
    """Component: asks the broker, on a thread of its own. forgotten: called when the group and the
    member have disagreed for longer than `after` seconds about what the member holds."""

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        forgotten: Callable[[], None],
        *,
        every: float = EVERY,
        after: float = FORGOTTEN_AFTER,
    ):
        self._settings = settings
        self._group = group
        self._forgotten = forgotten
        self._every = every
        self._after = after
        self._said: tuple[float, str, frozenset[int]] | None = None
        self._disagreed: tuple[float, str, frozenset[int]] | None = None  # since when, on what
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="membership", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=1)

    def say(self, member_id: str, partitions: frozenset[int]) -> None:
        """What the member believes, now."""
        self._said = (time.monotonic(), member_id, partitions)

    def _run(self) -> None:
        admin = AdminClient(self._settings.common() | {"log_level": 2}, logger=log)
        while not self._stopping.wait(self._every):
            admin.poll(0)
            said = self._said
            if said is None or time.monotonic() - said[0] > _FRESH:
                continue
            _, member_id, partitions = said
            try:
                known = self._known(admin, member_id)
            except (KafkaException, FutureTimeoutError):
                continue  # no answer is no disagreement
            self._compare(member_id, partitions, known)

    def _known(self, admin: AdminClient, member_id: str) -> frozenset[int]:
        """The partitions that the broker says the member has; none of one that it does not know."""
        asked = admin.describe_consumer_groups([self._group], request_timeout=_TIMEOUT)
        description = asked[self._group].result(_TIMEOUT)
        return frozenset(
            place.partition
            for member in description.members
            if member.member_id == member_id
            for place in member.assignment.topic_partitions
        )

    def _compare(self, member_id: str, held: frozenset[int], known: frozenset[int]) -> None:
        now = time.monotonic()
        if held == known:
            self._disagreed = None
        elif self._disagreed is None or self._disagreed[1:] != (member_id, held):
            self._disagreed = (now, member_id, held)
        elif now - self._disagreed[0] > self._after:
            log.error("the group has forgotten this member", extra={"held": len(held)})
            self._disagreed = None
            self._forgotten()
