"""Asking Kafka for offsets ends in time when nobody answers. What it answers is tested on a real
one, in tests/integration."""

import time

import pytest

from rollcall_events import KafkaSettings, Topic, TopicUnavailable, offsets
from rollcall_events.offsets import committed_offsets, log_ends

NOBODY = KafkaSettings("127.0.0.1:1")
TOPIC = Topic("users", "id", 50, "cluster")


def test_without_a_broker_the_topic_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "TIMEOUT", 0.3)
    began = time.monotonic()
    with pytest.raises(TopicUnavailable, match="topic users: "):
        committed_offsets(NOBODY, "group", TOPIC)
    with pytest.raises(TopicUnavailable, match="topic users: "):
        log_ends(NOBODY, TOPIC)
    assert time.monotonic() - began < 3
