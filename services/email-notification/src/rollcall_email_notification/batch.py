"""One batch of events on its way into the recipients view and the ledger.

The users that it is about are read once, change in memory event by event, and are written back
once, together with the mails that are owed.
"""

from collections.abc import Mapping, Sequence

from rollcall_email_notification import recipients
from rollcall_email_notification.recipients import Recipient
from rollcall_events import EVENT_TYPES, Event, Lifecycle, Rejection, Statement
from rollcall_events.postgres import Wire
from rollcall_service.ledger import Owed


class Batch:
    """What handlers see. owed: the mails that they decide to send."""

    def __init__(self, users: Mapping[str, Recipient]):
        """users: those whom events are about, but for those whom they create."""
        self.owed = Owed()
        self._users: dict[str, Recipient | None] = {**users}
        self._changed: dict[str, Recipient | None] = {}

    def find(self, user_id: str) -> Recipient | None:
        return self._users.get(user_id)

    def save(self, user: Recipient) -> None:
        self._users[user.user_id] = self._changed[user.user_id] = user

    def remove(self, user_id: str) -> None:
        self._users[user_id] = self._changed[user_id] = None

    def end(self, rejections: Sequence[Rejection]) -> Sequence[Statement]:
        """What writes all that has changed. What was rejected concerns nobody."""
        return [*recipients.saving(self._changed), *self.owed.adding()]


def begin(wire: Wire, events: Sequence[Event]) -> Batch:
    begins = {e.key for e in events if EVENT_TYPES[e.type].lifecycle is Lifecycle.BEGINS}
    return Batch(recipients.load(wire, {event.key for event in events} - begins))
