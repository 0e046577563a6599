"""rollcall status"""

import argparse
import threading
from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rollcall_cli import exits
from rollcall_cli.ask_replicas import platform_status
from rollcall_cli.output import Output
from rollcall_local.client import NotRunning
from rollcall_local.home import Home

_PERIOD = 1.0  # seconds between two looks of --watch
_COLOURS = {"running": "green", "external": "blue", "starting": "yellow", "restarting": "yellow"}


def status(home: Home, options: argparse.Namespace, output: Output) -> int:
    if options.watch:
        return _watch(home, output)
    document, notices = platform_status(home)
    if output.json:
        output.result(document)
    else:
        output.console.print(page(document, notices))
    return exits.OK


def _watch(home: Home, output: Output) -> int:
    """Show it again every second until Ctrl-C or the platform's end; with --json a line each."""
    stopped = threading.Event()  # never set: Ctrl-C ends it
    first = platform_status(home)
    if output.json:
        output.result(first[0])
        while not stopped.wait(_PERIOD):
            output.result(platform_status(home)[0])
    with Live(page(*first), console=output.console, auto_refresh=False) as live:
        while not stopped.wait(_PERIOD):
            live.update(_page_or_silence(home), refresh=True)
    return exits.OK


def _page_or_silence(home: Home) -> RenderableType:
    try:
        return page(*platform_status(home))
    except NotRunning as error:
        return Text(str(error))


def page(document: dict[str, Any], notices: list[str]) -> RenderableType:
    tables: list[RenderableType] = [_services(document["services"]), _parts(document["parts"])]
    return Group(*tables, *(Text(notice, style="bold yellow") for notice in notices))


def _services(services: list[dict[str, Any]]) -> Table:
    table = _table("replica", "pid", "state", "lag", "partitions", "")
    for service in services:
        for replica in service["replicas"]:
            held = replica["partitions"]
            count = str(sum(map(len, held.values()))) if service["group"] else ""
            table.add_row(
                *(replica["id"], str(replica["pid"] or ""), _state(replica["state"])),
                *(_lag(replica) if service["group"] else "", count, _held(held)),
            )
        table.add_section()
    return table


def _parts(parts: list[dict[str, Any]]) -> Table:
    table = _table("part", "pid", "state", "address")
    for part in parts:
        pid = str(part["pid"] or "")
        table.add_row(part["name"], pid, _state(part["state"]), part["address"] or "")
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    *narrow, last = columns
    for column in narrow:
        table.add_column(column, no_wrap=True)
    table.add_column(last, overflow="fold")
    return table


def _state(state: str) -> Text:
    return Text(state, style=_COLOURS.get(state, "red"))


def _held(partitions: dict[str, list[int]]) -> str:
    if len(partitions) == 1:
        return ranges(*partitions.values())
    return "; ".join(f"{topic} {ranges(held)}" for topic, held in partitions.items())


def ranges(numbers: Iterable[int]) -> str:
    """`[0, 1, 2, 5]` as `0-2, 5`."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def _lag(replica: dict[str, Any]) -> str:
    if replica["lag_records"] is None:
        return "unknown"
    if not replica["lag_records"]:
        return "none"
    return f"{replica['lag_records']} records, {replica['lag_seconds'] or 0:.1f} s"
