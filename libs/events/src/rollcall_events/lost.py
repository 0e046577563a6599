"""Clients that have lost every broker, and so are deaf and dumb for good without a word.

While Kafka stops or starts it may answer, for a moment, that it has no broker. librdkafka 2.13 to
2.16 then forgets all it knew, those of bootstrap.servers too, and looks for them no more: a
consumer neither fetches nor heartbeats and keeps what its group gives to others, a producer sends
nothing. No error tells of it, the client's statistics do.
"""

import json

_OF_KAFKA = ("configured", "learned")  # beside these a client has some that are only its own


def is_lost(statistics: str) -> bool:
    """Whether a client, by its statistics, has nobody left to ask. With Kafka merely away it still
    knows whom to try."""
    return all(b["source"] not in _OF_KAFKA for b in json.loads(statistics)["brokers"].values())
