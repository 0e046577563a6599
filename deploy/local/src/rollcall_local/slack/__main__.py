"""python -m rollcall_local.slack DATABASE HTTP_PORT [HOST]

On 127.0.0.1, unless a HOST is given: in a container, whose network is its own, 0.0.0.0.
"""

import asyncio
import sys
from pathlib import Path

from rollcall_local import web
from rollcall_local.ports import HOST
from rollcall_local.slack.api import application
from rollcall_local.slack.store import Store


def main(database: Path, port: int, host: str = HOST) -> None:
    asyncio.run(web.serve(application(Store(database)), port, host))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
