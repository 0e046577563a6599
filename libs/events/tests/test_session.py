"""Which errors end a process."""

from confluent_kafka import KafkaError

from rollcall_events.session import is_fatal


def test_a_dead_client_is_recognised_however_it_says_so() -> None:
    assert is_fatal(KafkaError(KafkaError._FATAL))  # as a consumer hands it out
    assert is_fatal(KafkaError(KafkaError.UNKNOWN, fatal=True))
    assert not is_fatal(KafkaError(KafkaError._ALL_BROKERS_DOWN))
