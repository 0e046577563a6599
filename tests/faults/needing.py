"""What a test of faults cannot do without."""

import os

import pytest

from rollcall_local import kafka
from rollcall_local.errors import Unavailable


def apache_kafka() -> None:
    """Skips the test where Kafka cannot be had; fails it where Kafka is asked for."""
    wanted = os.environ.get("ROLLCALL_BROKER")
    if wanted == "embedded":
        pytest.skip("needs Apache Kafka: the embedded broker keeps no log")
    try:
        kafka.install(os.environ, say=lambda _: None)
    except Unavailable as error:
        if wanted == "kafka":
            raise
        pytest.skip(f"needs Apache Kafka, which cannot be had: {error}")
