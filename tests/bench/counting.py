"""A collector in a process of its own, that only counts: what it costs is not the load's."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telemetry.collector import collecting

_WITHIN = 20.0  # seconds, to end


class Counting:
    """endpoint: for OTEL_EXPORTER_OTLP_ENDPOINT. count: spans that came, known at the end."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint
        self.count = 0


@contextmanager
def counting() -> Iterator[Counting]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.counting"],
        cwd=Path(__file__).resolve().parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # the terminal's Ctrl-C is ours
    )
    assert process.stdout is not None
    collector = Counting(process.stdout.readline().strip())
    try:
        yield collector
    finally:
        told, _ = process.communicate(timeout=_WITHIN)  # the end of its input is its end
        collector.count = int(told)


def main() -> int:
    with collecting(keep=False) as collector:
        sys.stdout.write(f"{collector.endpoint}\n")
        sys.stdout.flush()
        sys.stdin.read()
    sys.stdout.write(f"{collector.count}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
