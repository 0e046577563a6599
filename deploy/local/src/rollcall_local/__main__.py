"""python -m rollcall_local HOME: the supervisor of the platform in HOME, until it is stopped.

One line on stdout tells how it begins: `listening`, or `busy` when HOME has a supervisor already.
"""

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from rollcall_local import lock, orphans
from rollcall_local.control import Control
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home
from rollcall_local.settings import Settings
from rollcall_local.supervisor import Supervisor

log = logging.getLogger(__name__)

_LOCK_WITHIN = 1.0  # seconds: others hold the lock for a moment to see whether it is free
_OWNER_WITHIN = 5.0


def main(home: Home) -> int:
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if lock.acquire(home.lock, _LOCK_WITHIN) is None:  # held until we end, however that comes
        _announce("busy")
        return 1
    try:
        settings = Settings.from_env(os.environ)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for name in orphans.end_all(home.run):
        log.warning("%s had outlived its supervisor and was ended", name)
    asyncio.run(supervise(Supervisor(home, settings)))
    return 0


async def supervise(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    control = Control(supervisor)
    server = await control.listen()
    async with server:
        _announce("listening")
        # Nothing is started that nobody would hear of, or undo.
        if await control.owner_came(within=_OWNER_WITHIN):
            await supervisor.run()
            await control.drain()
    supervisor.home.socket.unlink(missing_ok=True)


def _announce(word: str) -> None:
    """Tell whoever started us, and let go of the pipe: we live longer."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main(Home(Path(sys.argv[1]))))
