"""What a replica answers on GET /status."""

import os
from collections.abc import Mapping
from typing import Any

from rollcall_email_notification.settings import SERVICE
from rollcall_email_notification.subscriptions import SUBSCRIPTION
from rollcall_events import Consumer


def status(replica_id: str, consumer: Consumer, deliveries: Mapping[str, int]) -> dict[str, Any]:
    held = consumer.status()
    return {
        "id": replica_id,
        "service": SERVICE,
        "group": SUBSCRIPTION.group,
        "pid": os.getpid(),
        "state": held.state,
        "partitions": {SUBSCRIPTION.topic: list(held.partitions)},
        "lag_records": held.lag_records,
        "lag_seconds": held.lag_seconds,
        "stopped_partitions": {str(p): why for p, why in held.stopped_partitions.items()},
        "events": dict(held.events),
        "deliveries": dict(deliveries),
    }
