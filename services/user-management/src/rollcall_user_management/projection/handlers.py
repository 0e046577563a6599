"""The projection's wiring: every event of the topic is folded, and kept in the history."""

from collections.abc import Mapping

from rollcall_events import EVENT_TYPES, Event, Handler, Subscription
from rollcall_user_management.admission.store import PREPARE_SETTLE
from rollcall_user_management.generations.locks import PREPARE_ENDING
from rollcall_user_management.projection import search_index, tables
from rollcall_user_management.projection.batch import Batch, begin, end
from rollcall_user_management.readstore import group_of, number_of
from rollcall_user_management.settings import SCHEMA


def project(event: Event, batch: Batch) -> None:
    batch.apply(event)


HANDLERS: Mapping[str, Handler] = dict.fromkeys(EVENT_TYPES, project)


def subscription(schema: str) -> Subscription:
    """The projection into one generation of the read store."""
    return Subscription(
        group=group_of(number_of(schema)),
        schema=schema,
        topic="users",
        handlers=HANDLERS,
        begin=begin,
        end=end,
        prepare=search_index.PREPARE + tables.PREPARE + PREPARE_ENDING + PREPARE_SETTLE,
        owner=True,
        announce=True,
        discards=f"{SCHEMA}.discards",
    )
