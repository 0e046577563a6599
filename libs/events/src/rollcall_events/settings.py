"""How to reach Kafka, and the client settings that the guarantees rest on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollcall_events.security import Security

# Seconds between looks at a client's statistics, which alone tell of one that is lost (lost.py).
_LOOK = 3.0
QUEUED_RECORDS, QUEUED_BYTES = 1_000, 8_388_608  # in a client; with either it fetches no more
# Of a partition in an answer: a consumer that catches up then has many partitions in hand, and so
# transactions of other partitions to apply beside each other. A larger batch comes only where no
# partition before it in the request has any (Kafka's KIP-74), so that ours are smaller.
_FETCHED_BYTES, _BATCH_BYTES = 131_072, 122_880
DELIVERY_TIMEOUT = 30.0  # seconds after which an append is in the log or never will be


@dataclass(frozen=True)
class KafkaSettings:
    """group_protocol: `consumer` (KIP-848, Kafka 4 and newer) or `classic`."""

    bootstrap_servers: str
    client_id: str = "rollcall"
    group_protocol: str = "consumer"
    security: Security = field(default_factory=Security)

    @classmethod
    def from_env(cls, variables: Mapping[str, str]) -> "KafkaSettings":
        """Read KAFKA_BOOTSTRAP_SERVERS, KAFKA_GROUP_PROTOCOL, REPLICA_ID, and what Security reads.

        Raises ValueError.
        """
        servers = variables.get("KAFKA_BOOTSTRAP_SERVERS", "")
        if not servers:
            raise ValueError("KAFKA_BOOTSTRAP_SERVERS is not set: give host:port of a broker")
        protocol = variables.get("KAFKA_GROUP_PROTOCOL") or "consumer"
        if protocol not in ("consumer", "classic"):
            raise ValueError(f"KAFKA_GROUP_PROTOCOL must be consumer or classic, not {protocol!r}")
        client_id = variables.get("REPLICA_ID") or "rollcall"
        return cls(servers, client_id, protocol, Security.from_env(variables))

    def common(self) -> dict[str, Any]:
        return self.security.client() | {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": self.client_id,
            "socket.timeout.ms": 10_000,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 1_000,
        }

    def producer(self) -> dict[str, Any]:
        return self.common() | {
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
            "compression.type": "zstd",
            "delivery.timeout.ms": int(DELIVERY_TIMEOUT * 1_000),
            "linger.ms": 0,
            "batch.size": _BATCH_BYTES,
            "allow.auto.create.topics": False,
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": 65_536,
            "statistics.interval.ms": int(_LOOK * 1_000),
        }

    def consumer(self, group: str) -> dict[str, Any]:
        """A consumer that keeps its offsets itself: nothing is stored or committed by itself."""
        settings = self.common() | {
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,  # where the log ends, also behind what is no record
            "queued.min.messages": QUEUED_RECORDS,
            "queued.max.messages.kbytes": QUEUED_BYTES // 1_024,
            "max.partition.fetch.bytes": _FETCHED_BYTES,
            "fetch.queue.backoff.ms": 10,  # a queue that was full is empty long before 1000
            "max.poll.interval.ms": 300_000,
            "fetch.wait.max.ms": 500,
            "fetch.error.backoff.ms": 100,
            "group.protocol": self.group_protocol,
            "statistics.interval.ms": int(_LOOK * 1_000),
        }
        if self.group_protocol == "classic":
            settings |= {
                "partition.assignment.strategy": "cooperative-sticky",
                # The embedded broker's first join takes about half of it; its long poll does
                # not wake for new data, so the fetch wait is the delay.
                "session.timeout.ms": 6_000,
                "heartbeat.interval.ms": 1_500,
                "fetch.wait.max.ms": 100,
            }
        return settings
