"""What another team's process is: it knows the broker's address and the published contracts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_WITHIN = 30.0  # seconds
_HERE = Path(__file__).parent


def publish_plainly(servers: str, record: dict[str, Any]) -> tuple[int, int]:
    """Append a record with a plain producer in a process of its own; its partition and offset.

    record: key and headers in text, the value in hexadecimal, and a partition where the
    partitioner is not to choose.
    """
    return _run("plain_publisher.py", servers, record)


def publish_with_library(servers: str, document: dict[str, Any]) -> tuple[int, int]:
    """Publish a UserCreatedEvent with the events library in a process of its own."""
    return _run("library_publisher.py", servers, document)


def _run(program: str, servers: str, document: dict[str, Any]) -> tuple[int, int]:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(_HERE / program), servers],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        timeout=_WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    partition, offset = json.loads(done.stdout)
    return partition, offset
