"""rollcall deliveries: what the notification services owe, and what became of it."""

import argparse
from collections.abc import Iterator
from typing import Any

from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.text import Text

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_cli.times import moment, to_the_second
from rollcall_local.home import Home

HELP = "what is to be sent, and what became of it"
SERVICES = ("email", "slack")
STATES = ("pending", "sent", "failed", "cancelled", "settled")
_FILTERS = ("service", "user", "event", "id", "state", "kind", "to", "since", "until")
_COLOURS = {"sent": "green", "pending": "yellow", "failed": "red"}


def run(home: Home, options: argparse.Namespace, output: Output) -> int:
    if options.action == "list":
        return _list(home, options, output)
    if not options.all and not any(getattr(options, name) for name in _FILTERS):
        output.error(f"say which deliveries to {options.action}, or --all")
        return exits.USAGE
    return _change(home, options, output)


def add_actions(parser: argparse.ArgumentParser, machine: argparse.ArgumentParser) -> None:
    """machine: with the options that every command has."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, text in {
        "list": "the newest first",
        "retry": "make due now what failed, was cancelled or waits for another attempt",
        "cancel": "give up what is pending and not on its way",
    }.items():
        added = actions.add_parser(action, help=text, description=text, parents=[machine])
        _add_filters(added)
        if action == "list":
            added.add_argument(
                "-n", "--lines", type=_lines, default=50, help="1 to 500 (default 50)"
            )
        else:
            added.add_argument("--all", action="store_true", help="without any filter")
            added.add_argument("--dry-run", action="store_true", help="only show which")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--service", choices=SERVICES, help="of one service only")
    parser.add_argument("--user", metavar="ID", help="about this user, or role")
    parser.add_argument("--event", metavar="ID", help="of this event")
    parser.add_argument("--id", metavar="N", type=int, action="append", help="this one; repeatable")
    parser.add_argument("--state", choices=STATES, action="append", help="repeatable")
    parser.add_argument("--kind", help="such as welcome")
    parser.add_argument("--to", metavar="RECIPIENT", help="an e-mail address, or a channel")
    parser.add_argument("--since", type=moment, metavar="TIME", help="a time, or how long ago: 2h")
    parser.add_argument("--until", type=moment, metavar="TIME", help="likewise, exclusive")


def _lines(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 500:
        raise argparse.ArgumentTypeError("must be a number from 1 to 500")
    return int(text)


def _list(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_ledgers  # gRPC's import is felt by every other command

    found = ask_ledgers.listed(home, options)
    if output.json:
        output.result(found)
    else:
        output.console.print(_page(found) if found else "No deliveries.")
    return exits.OK


def _change(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_ledgers

    changed: list[dict[str, Any]] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=output.notes, transient=True) as progress:
        task = progress.add_task("", total=None)
        for some in ask_ledgers.changed(home, options):
            changed += some
            progress.update(task, description=f"{len(changed)} so far")
    if output.json:
        output.result({"changed": changed, "dry_run": options.dry_run})
        return exits.OK
    if options.dry_run and changed:
        output.console.print(_page(changed))
    done = {"retry": "made due again", "cancel": "cancelled"}[options.action]
    count = f"{len(changed)} {'delivery' if len(changed) == 1 else 'deliveries'}"
    output.console.print(f"{count} would be {done}" if options.dry_run else f"{count} {done}")
    return exits.OK


def _page(found: list[dict[str, Any]]) -> Text:
    """A line each, and one more where there is something to say: it fits any terminal."""
    return Text("\n").join(line for delivery in found for line in _lines_of(delivery))


def _lines_of(delivery: dict[str, Any]) -> Iterator[Text]:
    made = to_the_second(delivery["created_at"])
    state = delivery["state"]
    line = Text(f"{made}  ", style="dim")
    line.append(f"{delivery['service']}/{delivery['id']:<6} ", style="default")
    line.append(f"{state:<10}", style=_COLOURS.get(state, "default"))
    yield line.append(f"{delivery['kind']:<16} {delivery['recipient']}", style="default")
    if remark := _remark(delivery):
        yield Text(f"    {remark}", style="dim")


def _remark(delivery: dict[str, Any]) -> str:
    if delivery["leased_by"]:
        return f"on its way, by {delivery['leased_by']}"
    tried = f"tried {delivery['attempts']} times" if delivery["attempts"] > 1 else ""
    due = f"again at {delivery['due_at']}" if delivery["due_at"] and delivery["attempts"] else ""
    waits = delivery["state"] == "pending" and not delivery["due_at"]
    behind = "behind an earlier one" if waits else ""
    return ", ".join(filter(None, (tried, delivery["last_error"], due, behind)))
