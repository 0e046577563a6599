"""What another team's process is: it knows the broker's address and the published contracts."""

import json
import subprocess
import sys
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

_WITHIN = 30.0  # seconds
_HERE = Path(__file__).parent


def publish_plainly(servers: str, record: dict[str, Any]) -> tuple[int, int]:
    """Append a record with a plain producer in a process of its own; its partition and offset.

    record: key and headers in text, the value in hexadecimal, and a partition where the
    partitioner is not to choose.
    """
    return publish_all_plainly(servers, [record])[0]


def publish_all_plainly(servers: str, records: Sequence[dict[str, Any]]) -> list[tuple[int, int]]:
    """As `publish_plainly`, all of them by one process."""
    return [(p, offset) for p, offset in _run("plain_publisher.py", servers, records)]


def publish_with_library(servers: str, document: dict[str, Any]) -> tuple[int, int]:
    """Publish a UserCreatedEvent with the events library in a process of its own."""
    partition, offset = _run("library_publisher.py", servers, document)
    return partition, offset


def record_of(key: str, event: Message) -> dict[str, Any]:
    """A user's event as `publish_plainly` takes it."""
    type_ = event.DESCRIPTOR.full_name
    headers = {
        "content-type": "application/protobuf",
        "ce_specversion": "1.0",
        "ce_id": str(uuid.uuid4()),
        "ce_type": type_,
        "ce_source": "/services/another-team",
        "ce_subject": f"users/{key}",
        "ce_time": datetime.now(UTC).isoformat(),
        "ce_partitionkey": key,
        "ce_dataschema": f"type.googleapis.com/{type_}",
    }
    return {"key": key, "headers": headers, "value": event.SerializeToString().hex()}


def _run(program: str, servers: str, document: Any) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(_HERE / program), servers],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        timeout=_WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
