"""What a replica answers on GET /status."""

import os
from collections.abc import Mapping
from typing import Any

from rollcall_events import Consumer
from rollcall_slack_notification.settings import SERVICE
from rollcall_slack_notification.subscriptions import TOPIC


def status(replica_id: str, consumer: Consumer, deliveries: Mapping[str, int]) -> dict[str, Any]:
    held = consumer.status()
    return {
        "id": replica_id,
        "service": SERVICE,
        "group": SERVICE,
        "pid": os.getpid(),
        "state": held.state,
        "partitions": {TOPIC: list(held.partitions)},
        "lag_records": held.lag_records,
        "lag_seconds": held.lag_seconds,
        "stopped_partitions": {str(p): why for p, why in held.stopped_partitions.items()},
        "events": dict(held.events),
        "deliveries": dict(deliveries),
    }
