from collections.abc import Iterator

import pytest
from integration.verification.histories import History, old_record
from sqlalchemy import Engine

from rollcall_events import KafkaSettings


@pytest.fixture
def history(kafka_settings: KafkaSettings, topic: str, store: Engine) -> Iterator[History]:
    """Of users and roles, with the first user's events parked and one of the second's discarded."""
    history = History(kafka_settings, topic, store, seed=7)
    with history.publishing():
        history.at_random(150)
        history.append(old_record())
        parked, discarded = history.users[:2]
        history.park(parked)
        place = history.park(discarded)
        history.project()
        history.discard(discarded, place)
        yield history
