"""rollcall rebuild: fold the log into a new read store, beside the one that is in use."""

import argparse
import threading
import time
from typing import Any

from rich.text import Text

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_cli.progress import bar
from rollcall_cli.times import to_the_second
from rollcall_local.client import NotRunning
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home

HELP = "fold the log into a new read store, beside the one that is in use"
_LOOK = 0.5  # seconds between looks
_NEAR = 1_000  # records left when it may take over
_SWITCH_WITHIN = 60.0  # seconds from then on
_SILENT = 15.0  # seconds that no replica may answer
_COLOURS = {"live": "green", "filling": "yellow", "standby": "default"}
_GOES_ON = (
    "the services go on with generation {number}: `rollcall rebuild` shows it again,"
    " `rollcall rebuild drop {number}` gives it up"
)

Document = dict[str, Any]


def add_actions(parser: argparse.ArgumentParser, machine: argparse.ArgumentParser) -> None:
    """machine: with the options that every command has."""
    parser.add_argument(
        "--full-speed", action="store_true", help="as fast as it goes, though it may be felt"
    )
    parser.add_argument(
        "--no-switch", action="store_true", help="leave it to `rebuild use` to make it live"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=text, description=text, parents=[machine])

    action("list", "the generations of the read store, the newest first")
    for name, text in {
        "use": "make a generation the live one, or the one before again",
        "drop": "remove a generation that is not live, for good",
    }.items():
        action(name, text).add_argument("number", type=int, metavar="N", help="its number")


def run(home: Home, options: argparse.Namespace, output: Output) -> int:
    actions = {None: _rebuild, "list": _list, "use": _use, "drop": _drop}
    return actions[options.action](home, options, output)


def _rebuild(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_generations  # gRPC's import is felt by every other command

    number = ask_generations.started(home, full_speed=options.full_speed)["number"]
    try:
        made = _filled(home, number, output)
        if not options.no_switch:
            made = _switched(home, number)
    except KeyboardInterrupt:
        output.error(_GOES_ON.format(number=number))
        return 130
    return _told(made, output)


def _filled(home: Home, number: int, output: Output) -> Document:
    """The generation, as soon as it has come near the log's end."""
    with bar(output, f"generation {number}", None, "records") as advance:
        while True:
            generation = _found(home, number)
            folded, records = generation["folded"], generation["records"]
            advance(folded, records)
            if records - folded <= _NEAR:
                return generation
            threading.Event().wait(_LOOK)


def _found(home: Home, number: int) -> Document:
    """Raises PlatformError if somebody has dropped it."""
    found = [g for g in _patiently_listed(home) if g["number"] == number]
    if not found:
        raise PlatformError(f"generation {number} was dropped")
    return found[0]


def _patiently_listed(home: Home) -> list[Document]:
    """Though the replica that is asked may just have died. Raises NotRunning if none comes."""
    from rollcall_cli import ask_generations

    end = time.monotonic() + _SILENT
    while True:
        try:
            return ask_generations.listed(home)
        except NotRunning:
            if time.monotonic() > end:
                raise
        threading.Event().wait(_LOOK)


def _switched(home: Home, number: int) -> Document:
    from rollcall_cli import ask_generations
    from rollcall_cli.ask_services import NotNow

    end = time.monotonic() + _SWITCH_WITHIN
    while True:
        try:
            return ask_generations.used(home, number)
        except (NotNow, NotRunning):
            if time.monotonic() > end:
                raise
        threading.Event().wait(_LOOK)


def _list(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_generations

    found = ask_generations.listed(home)
    if output.json:
        output.result(found)
    else:
        output.console.print(Text("\n").join(map(_line, found)))
    return exits.OK


def _use(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_generations

    return _told(ask_generations.used(home, options.number), output)


def _drop(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_generations

    ask_generations.dropped(home, options.number)
    output.result({"dropped": options.number}, f"Generation {options.number} was removed.")
    return exits.OK


def _told(generation: Document, output: Output) -> int:
    if output.json:
        output.result(generation)
    else:
        output.console.print(_line(generation))
    return exits.OK


def _line(generation: Document) -> Text:
    made = to_the_second(generation["made_at"])
    line = Text(f"generation {generation['number']}  ")
    line.append(f"{generation['state']:<8}", style=_COLOURS.get(generation["state"], "default"))
    line.append(f"{generation['folded']:,} of {generation['records']:,} records")
    return line.append(f"  made {made}, layout {generation['layout']}", style="dim")
