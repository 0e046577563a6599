"""rollcall events tail: the log as it goes by."""

import argparse
import json
from typing import Any

from rich.text import Text

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_cli.times import moment
from rollcall_local.home import Home

HELP = "the log of events"
_COLOURS = {"Created": "green", "Deleted": "red", "LoggedIn": "dim"}


def add_actions(parser: argparse.ArgumentParser, machine: argparse.ArgumentParser) -> None:
    """machine: with the options that every command has."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "show events as they are appended, or since a moment; Ctrl-C ends it"
    added = actions.add_parser("tail", help=text, description=text, parents=[machine])
    added.add_argument("--type", action="append", help="such as UserCreatedEvent; repeatable")
    added.add_argument("--user", metavar="ID", help="of this user, or role")
    added.add_argument("--actor", help="caused by this: users/<id>, tokens/<id>, services/<name>")
    added.add_argument("--since", type=moment, metavar="TIME", help="a time, or how long ago: 2h")
    added.add_argument("--no-follow", action="store_true", help="end at the log's end as it is now")


def run(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import tail_log  # Kafka's client is felt by every other command

    for seen in tail_log.documents(home, options):
        if output.json:
            output.result(seen)
        else:
            output.console.print(_line(seen))
    return exits.OK


def _line(seen: dict[str, Any]) -> Text:
    place = f"{seen['position']['partition']}/{seen['position']['offset']}"
    line = Text(f"{seen['recorded_at']}  {place:>9}  ", style="dim")
    if seen["unreadable"]:
        return line.append(f"no event: {seen['unreadable']}", style="bold red")
    name = seen["type"].rpartition(".")[2]
    colour = next((c for part, c in _COLOURS.items() if part in name), "cyan")
    version = f" v{seen['sequence']}" if seen["sequence"] else ""
    line.append(f"{name:<28}", style=colour).append(f"{seen['subject']}{version}", style="default")
    line.append(f"  by {seen['actor'] or seen['source']}", style="dim")
    return line.append(f"  {json.dumps(seen['data'], ensure_ascii=False)}", style="default")
