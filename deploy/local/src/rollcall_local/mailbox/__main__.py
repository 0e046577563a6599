"""python -m rollcall_local.mailbox DATABASE SMTP_PORT HTTP_PORT"""

import asyncio
import sys
from pathlib import Path

from rollcall_local import web
from rollcall_local.mailbox import api, smtp
from rollcall_local.mailbox.store import Store
from rollcall_local.ports import HOST


async def main(database: Path, smtp_port: int, http_port: int) -> None:
    store = Store(database)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: smtp.session(store, loop), HOST, smtp_port)
    async with server:
        await web.serve(api.application(store), http_port)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
