"""python -m rollcall_local.slack DATABASE HTTP_PORT"""

import asyncio
import sys
from pathlib import Path

from rollcall_local import web
from rollcall_local.slack.api import application
from rollcall_local.slack.store import Store


def main(database: Path, port: int) -> None:
    asyncio.run(web.serve(application(Store(database)), port))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
