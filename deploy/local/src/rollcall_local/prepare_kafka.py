"""python -m rollcall_local.prepare_kafka DATA PORT CONTROLLER_PORT CLUSTER_ID

Everything that precedes Kafka's start and takes time, in a process of its own so that it can be
interrupted (SIGTERM): finding Java, downloading and checking the jars, archiving their classes,
formatting the storage. Tells of it in JSON lines: {"say": …} on the way, and at last
{"argv": […]}, {"unavailable": …} or {"error": …}.
"""

import json
import os
import signal
import sys
from pathlib import Path

from rollcall_local import kafka
from rollcall_local.errors import PlatformError, Unavailable


def main(data: Path, port: int, controller_port: int, cluster_id: str) -> None:
    try:
        installation = kafka.install(os.environ, say=lambda text: _tell(say=text))
        configuration = kafka.configure(data, port, controller_port)
        kafka.format_storage(installation, configuration, cluster_id)
        _tell(argv=kafka.command(installation, configuration).argv)
    except Unavailable as error:
        _tell(unavailable=str(error))
    except PlatformError as error:
        _tell(error=str(error))


def _tell(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # What was started meanwhile is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
