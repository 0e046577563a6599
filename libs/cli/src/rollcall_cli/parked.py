"""rollcall parked: events that a group could not handle, and what waits behind them."""

import argparse
from collections.abc import Iterator
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_cli.times import to_the_second
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home

HELP = "events that a group could not handle, and what waits behind them"
GROUPS = ("user-management", "email-notification", "slack-notification")

Document = dict[str, Any]


def run(home: Home, options: argparse.Namespace, output: Output) -> int:
    if options.action == "redrive" and not options.all and not options.key:
        output.error("say whose events to run again, or --all")
        return exits.USAGE
    groups = [options.group] if options.group else list(GROUPS)
    return {"list": _list, "show": _show, "redrive": _redrive, "discard": _discard}[options.action](
        home, groups, options, output
    )


def add_actions(parser: argparse.ArgumentParser, machine: argparse.ArgumentParser) -> None:
    """machine: with the options that every command has."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text, parents=[machine])
        required = name == "discard"
        said = "the group that holds it" if required else "of one group only"
        added.add_argument("--group", choices=GROUPS, help=said, required=required)
        return added

    action("list", "which users and roles, and why")
    action("show", "one of them: the stack, and the records").add_argument("key", metavar="ID")
    again = action("redrive", "run what is held again, in order, once the cause is mended")
    again.add_argument("key", metavar="ID", nargs="*", help="of a user or role")
    again.add_argument("--all", action="store_true", help="everything that is held")
    gone = action("discard", "reject the event that failed, for ever, and run what is behind it")
    gone.add_argument("key", metavar="ID", help="of the user or role")
    gone.add_argument(
        "--at",
        type=_place,
        required=True,
        metavar="PARTITION/OFFSET",
        help="of the event that failed, as `list` prints it",
    )
    gone.add_argument("--reason", required=True, help="why: the audit trail shows it")
    for changing in (again, gone):
        changing.add_argument("--dry-run", action="store_true", help="say what would come of it")


def _list(home: Home, groups: list[str], options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_parked  # gRPC's import is felt by every other command

    found = ask_parked.listed(home, groups)
    if output.json:
        output.result(found)
    else:
        lines = [line for sequence in found for line in _lines_of(sequence)]
        output.console.print(Text("\n").join(lines) if lines else "Nothing is parked.")
    return exits.OK


def _show(home: Home, groups: list[str], options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_parked

    found = ask_parked.shown(home, groups, options.key)
    if output.json:
        output.result(found)
    elif found:
        lines = [line for sequence in found for line in _all_lines_of(sequence)]
        output.console.print(Text("\n").join(lines))
    if not found:
        output.error(f"nothing of {options.key} is parked")
    return exits.OK if found else exits.FAILED


def _redrive(home: Home, groups: list[str], options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_parked

    found = ask_parked.listed(home, groups)
    if options.key:
        found = [sequence for sequence in found if sequence["key"] in options.key]
        missing = set(options.key) - {sequence["key"] for sequence in found}
        if missing:
            output.error(f"nothing of {', '.join(sorted(missing))} is parked")
            return exits.FAILED
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    runs: list[Document] = []
    try:
        with Progress(*columns, TimeRemainingColumn(), console=output.notes, transient=True) as bar:
            task = bar.add_task("sequences", total=len(found))
            for one in ask_parked.redriven(home, found, dry_run=options.dry_run):
                runs.append(one)
                bar.advance(task)
    except PlatformError:
        _told(runs, options, output)
        raise
    return _told(runs, options, output)


def _discard(home: Home, groups: list[str], options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_parked

    done = ask_parked.discarded(
        home, options.group, options.key, options.at, options.reason, dry_run=options.dry_run
    )
    return _told([done], options, output)


def _place(text: str) -> tuple[int, int]:
    partition, _, offset = text.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise argparse.ArgumentTypeError("must be a partition and an offset: 3/17")
    return int(partition), int(offset)


def _told(runs: list[Document], options: argparse.Namespace, output: Output) -> int:
    if output.json:
        output.result({"runs": runs, "dry_run": options.dry_run})
    else:
        for one in runs:
            output.console.print(_outcome(one))
        if not runs:
            output.console.print("Nothing is parked.")
        elif options.dry_run:
            output.console.print("Nothing was changed.")
    return exits.FAILED if any(one["left"] for one in runs) else exits.OK


def _outcome(run: Document) -> Text:
    parts = [f"{run[what]} {what}" for what in ("applied", "rejected") if run[what]]
    parts += [f"{run['duplicates']} copies dropped"] if run["duplicates"] else []
    parts += [f"{run['left']} still held: {run['reason']}"] if run["left"] else []
    line = Text(f"{run['group']}  {run['key']}  ", style="default")
    parts = parts or ["nothing was left to do"]
    return line.append(", ".join(parts), style="red" if run["left"] else "green")


def _lines_of(sequence: Document) -> Iterator[Text]:
    parked = to_the_second(sequence["parked_at"])
    line = Text(f"{parked}  ", style="dim")
    line.append(f"{sequence['group']:<20} {sequence['key']}", style="default")
    yield line
    name = sequence["type"].rpartition(".")[2]
    place = f"{sequence['position']['partition']}/{sequence['position']['offset']}"
    tried = f", tried {sequence['attempts']} times" if sequence["attempts"] > 1 else ""
    behind = f", {sequence['held']} behind it" if sequence["held"] else ""
    yield Text(f"    {name} at {place}: ", style="dim").append(
        f"{sequence['reason']}{tried}{behind}", style="red"
    )


def _all_lines_of(sequence: Document) -> Iterator[Text]:
    yield from _lines_of(sequence)
    if sequence["stack"]:
        yield Text(sequence["stack"].rstrip(), style="dim")
    for record in sequence["records"]:
        name = record["headers"].get("ce_type", "?").rpartition(".")[2]
        yield Text(
            f"{record['partition']}/{record['offset']}  {record['recorded_at']}  {name}  "
        ).append(str(record["data"] or record["value"]), style="dim")
