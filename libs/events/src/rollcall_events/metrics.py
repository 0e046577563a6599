"""What Prometheus sees of messages, by OpenTelemetry's names for it."""

from collections.abc import Sequence

from prometheus_client import Counter, Histogram

from rollcall_events.folding import Outcome

_PUBLISHER = ("messaging_operation_name", "messaging_destination_name", "error_type")
_CONSUMER = (*_PUBLISHER, "messaging_consumer_group_name")
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds

_SENT = Counter(
    "messaging_client_sent_messages",
    "Events that were handed to the broker, with the error where it did not acknowledge them.",
    _PUBLISHER,
)
_CONSUMED = Counter(
    "messaging_client_consumed_messages", "Records that a group has committed.", _CONSUMER
)
_PROCESS_DURATION = Histogram(
    "messaging_process_duration_seconds",
    "Of a transaction that applies a batch of records, with the error where it was rolled back.",
    _CONSUMER,
    buckets=BUCKETS,
)
_EVENTS = Counter(
    "rollcall_consumer_events", "What became of events in a group.", ["group", "outcome"]
)


class Sent:
    """Of one topic."""

    def __init__(self, topic: str):
        self._topic = topic
        self._acknowledged = _SENT.labels("send", topic, "")

    def acknowledged(self) -> None:
        self._acknowledged.inc()

    def failed(self, error: str) -> None:
        _SENT.labels("send", self._topic, error).inc()


class Processed:
    """Of one group's transactions."""

    def __init__(self, topic: str, group: str):
        self._topic, self._group = topic, group
        self._consumed = _CONSUMED.labels("poll", topic, "", group)
        self._duration = _PROCESS_DURATION.labels("process", topic, "", group)
        self._events = {name: _EVENTS.labels(group, name) for name in vars(Outcome())}

    def committed(self, records: Sequence[object], outcome: Outcome, seconds: float) -> None:
        self._consumed.inc(len(records))
        self._duration.observe(seconds)
        for name, count in vars(outcome).items():
            if count:
                self._events[name].inc(count)

    def rolled_back(self, error: BaseException, seconds: float) -> None:
        error_type = type(error).__name__
        labels = ("process", self._topic, error_type, self._group)
        _PROCESS_DURATION.labels(*labels).observe(seconds)
