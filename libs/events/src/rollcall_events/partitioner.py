"""The Java client's partitioner, so that a publisher in any language agrees on the place."""

from struct import Struct

_WORD = Struct("<I")
_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits unsigned, seed 0x9747b28c, as org.apache.kafka.common.utils.Utils."""
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for (word,) in _WORD.iter_unpack(data[:whole]):
        k = word * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole != length:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """The partition a record with this key belongs in."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
