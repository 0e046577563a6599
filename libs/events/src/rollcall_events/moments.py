"""Until which moment the log is folded: asked of the broker whenever somebody wants to know.

A partition on which nothing is appended says nothing of the time that passes; that its consumer
stood at its end, and when, does (design §5).
"""

import json
import logging
import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from rollcall_events.offsets import LogEnds
from rollcall_events.postgres import STORE_ERRORS
from rollcall_events.session import Session
from rollcall_events.settings import KafkaSettings
from rollcall_events.subscription import Subscription
from rollcall_events.topic import TopicUnavailable

log = logging.getLogger(__name__)

# Stamps count milliseconds: what is appended after the look may still bear the one of the look.
_TICK = timedelta(milliseconds=1)
_WITHIN = 1.0  # seconds


class Moments:
    """Notes in the offsets table (`CREATE_MOMENTS_V1`), and announces on the channel named like
    the schema, as {"at_end": <RFC 3339>, "partitions": [...]}: whatever was recorded on these until
    then is folded. It compares this host's clock with the brokers': as far as those disagree, a
    moment may seem folded that much too early."""

    def __init__(self, engine: Engine, subscription: Subscription, settings: KafkaSettings):
        self._engine = engine
        self._subscription = subscription
        self._log_ends = LogEnds(settings)
        self._asked = threading.Event()
        self._looked: tuple[datetime, dict[int, int]] | None = None

    def ask(self) -> None:
        """Look soon. From any thread."""
        self._asked.set()

    def turn(self, session: Session) -> None:
        """Look if that was asked for, and note what the look said once it is folded."""
        if self._looked is None and self._asked.is_set():
            self._asked.clear()
            self._looked = self._look(session)
        if self._looked is None:
            return
        moment, ends = self._looked
        held = [partition for partition in ends if partition in session.positions]
        if all(session.positions[partition] >= ends[partition] for partition in held):
            self._looked = None
            if held:
                self._note(moment, held)

    def _look(self, session: Session) -> tuple[datetime, dict[int, int]] | None:
        """Where the log ends after a moment, also of a partition whose end nobody may read yet: a
        record in an open transaction was recorded before it."""
        moment = datetime.now(UTC) - _TICK
        topic, held = self._subscription.topic, list(session.positions)
        try:
            return moment, self._log_ends.ask(topic, held, _WITHIN)
        except TopicUnavailable as error:  # whoever waits asks again
            log.warning("no ends of the log", extra={"reason": str(error)})
            return None

    def _note(self, moment: datetime, partitions: list[int]) -> None:
        payload = json.dumps({"at_end": moment.isoformat(), "partitions": partitions})
        parameters = {
            "topic": self._subscription.topic,
            "partitions": partitions,
            "moment": moment,
            "channel": self._subscription.schema,
            "payload": payload,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(_NOTE, parameters)
                connection.execute(_ANNOUNCE, parameters)
        except STORE_ERRORS as error:  # whoever waits asks again
            log.warning("the moment is not noted", extra={"reason": type(error).__name__})


_NOTE = text(
    "UPDATE offsets SET at_end = greatest(at_end, :moment)"
    " WHERE topic = :topic AND partition = ANY (cast(:partitions AS int[]))"
)
_ANNOUNCE = text("SELECT pg_notify(:channel, :payload)")
