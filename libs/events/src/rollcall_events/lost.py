"""Clients that have lost every broker, and so are deaf and dumb for good without a word.

While Kafka stops, starts or is halted it may answer, for a moment, that it has no broker.
librdkafka 2.13 to 2.16 then forgets all it knew, those of bootstrap.servers too, and looks for
them no more; or it is told of one a moment later, and never connects to it. A consumer neither
fetches nor heartbeats then and keeps what its group gives to others, a producer sends nothing. No
error tells of it, the client's statistics do.
"""

from collections.abc import Mapping
from typing import Any

_OF_KAFKA = ("configured", "learned")  # beside these a client has some that are only its own
_UNTRIED = 5_000_000  # microseconds; one that is away is tried again after a second


def is_lost(statistics: Mapping[str, Any]) -> bool:
    """Whether a client, by its statistics, has nobody left to ask. With Kafka merely away it still
    knows whom to try, and tries."""
    brokers = statistics["brokers"].values()
    return not any(broker["source"] in _OF_KAFKA and _is_tried(broker) for broker in brokers)


def _is_tried(broker: dict[str, Any]) -> bool:
    return bool(broker["state"] != "INIT" or broker["stateage"] < _UNTRIED)
