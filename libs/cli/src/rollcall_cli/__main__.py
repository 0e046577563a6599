"""The rollcall command: what is asked, who does it, and the exit code."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from rollcall_cli import deliveries, events, exits, load, mail, parked, rebuild, users, verify
from rollcall_cli.lifecycle import clean, down, up
from rollcall_cli.output import Output
from rollcall_cli.scale import scale
from rollcall_cli.show_logs import logs
from rollcall_cli.show_status import status
from rollcall_cli.token import token
from rollcall_local import discovery
from rollcall_local.client import NotRunning
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home
from rollcall_local.ports import REPLICAS
from rollcall_local.services import SERVICES

Handler = Callable[[Home, argparse.Namespace, Output], int]

COMMANDS: dict[str, Handler] = {
    "up": up,
    "down": down,
    "clean": clean,
    "token": token,
    "deliveries": deliveries.run,
    "events": events.run,
    "load": load.run,
    "logs": logs,
    "mail": mail.run,
    "parked": parked.run,
    "rebuild": rebuild.run,
    "status": status,
    "scale": scale,
    "users": users.run,
    "verify": verify.run,
}

# Of a platform that this command started itself.
LOCAL = {"up", "down", "clean", "logs", "scale"}

# Commands that have several actions.
GROUPS = {
    "events": events,
    "deliveries": deliveries,
    "parked": parked,
    "users": users,
    "mail": mail,
}


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="rollcall", description="Operate a Rollcall platform.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    machine = argparse.ArgumentParser(add_help=False)
    machine.add_argument("--json", action="store_true", help="answer in JSON")

    def command(name: str, text: str, *, json: bool = True) -> argparse.ArgumentParser:
        parents = [machine] if json else []
        return commands.add_parser(name, help=text, description=text, parents=parents)

    command("up", "start the platform on this machine and wait until it is ready")
    command("down", "stop it; data stays")
    command("clean", "stop it and remove its data")
    command("token", "print the first user's bearer token")
    shown = command("logs", "print the logs", json=False)
    shown.add_argument("name", nargs="?", help="one part or replica (default: all)")
    shown.add_argument("-f", "--follow", action="store_true", help="go on with what comes")
    shown.add_argument("-n", "--lines", type=_count, default=50, help="of each log (default 50)")
    seen = command("status", "parts, services, replicas and what each holds")
    seen.add_argument("--watch", action="store_true", help="show it again every second")
    scaled = command("scale", "change how many replicas of a service run, now and at later starts")
    scaled.add_argument("service", choices=list(SERVICES))
    scaled.add_argument("count", type=_replicas, help=f"1 to {REPLICAS}")
    load.add_arguments(commands.add_parser("load", help=load.HELP, parents=[machine]))
    for name, group in GROUPS.items():
        group.add_actions(commands.add_parser(name, help=group.HELP), machine)
    rebuilding = command("rebuild", rebuild.HELP)
    rebuild.add_actions(rebuilding, machine)
    command("verify", verify.HELP)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    output = Output(json=getattr(options, "json", False))
    if options.command in LOCAL and discovery.is_asked_for(os.environ):
        output.error(f"{options.command} is for what started this platform, Compose for one")
        return exits.FAILED
    try:
        return COMMANDS[options.command](Home.from_env(os.environ), options, output)
    except NotRunning as error:
        output.error(str(error))
        return exits.UNREACHABLE
    except PlatformError as error:
        output.error(str(error))
        return exits.FAILED
    except BrokenPipeError:  # `rollcall logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except KeyboardInterrupt:
        output.error("interrupted")
        return 130


def _replicas(text: str) -> int:
    return _between(text, 1, REPLICAS)


def _count(text: str) -> int:
    return _between(text, 0, 100_000)


def _between(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be a number from {least} to {most}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
