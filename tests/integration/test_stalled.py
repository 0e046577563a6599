"""A process that stalls between storing and appending leaves the append to recovery."""

import time

import pytest

from rollcall_events import KafkaSettings, LogUnavailable, Publisher, Record
from rollcall_user_management.admission.append import append
from rollcall_user_management.admission.store import RECOVER_AFTER


def test_what_comes_too_late_is_not_sent(kafka_settings: KafkaSettings, topic: str) -> None:
    publisher = Publisher(kafka_settings, topic, "/services/test")
    record = Record(topic, b"key", b"value", ())
    with pytest.raises(LogUnavailable, match="too long"):
        append(publisher, _unmarked, "id", record, time.monotonic() - RECOVER_AFTER - 1)


def _unmarked(*_: object) -> None:
    raise AssertionError("nothing was appended")
