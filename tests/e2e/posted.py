"""What has become of the users that a loop of POSTs made."""

from e2e.local_platform import Platform
from e2e.messages import welcomes
from e2e.posting import Posting
from e2e.stores import rows
from e2e.waiting import eventually

_MAILED = 120.0  # seconds until the last mail
_MOVED = 40.0  # seconds from a death until everything acknowledged is in the read store

EVENTS = """SELECT u.id, count(h.key) FROM unnest(%s::uuid[]) AS u (id)
LEFT JOIN history h ON h.key = u.id AND h.rejected IS NULL GROUP BY u.id"""


def goes_on(posting: Posting) -> None:
    """Users are made now, too."""
    created = len(posting.created())
    eventually(lambda: posting.has_created(created + 5), within=30)


def all_there(platform: Platform, posting: Posting) -> None:
    """Everybody is in the read store, with one event, and was welcomed once."""
    created = posting.created()
    ids = [answer.id for answer in created]
    eventually(lambda: {n for _, n in rows(platform, EVENTS, ids)} == {1}, within=_MOVED)
    emails = {answer.email for answer in created}
    eventually(lambda: emails <= welcomes(platform).keys(), within=_MAILED)
    sent = [ids for email, ids in welcomes(platform).items() if email in emails]
    assert {len(ids) for ids in sent} == {1}
