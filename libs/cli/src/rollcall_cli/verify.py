"""rollcall verify: whether the read store is the fold of the log, row by row."""

import argparse
import json
import time
from typing import Any

from rich.text import Text

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_cli.progress import bar
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home

HELP = "fold the log anew and compare the read store with it, while commands go on"
_SHOWN = 60  # characters of a value

Document = dict[str, Any]


def run(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_log  # gRPC's import is felt by every other command

    found: list[Document] = []
    newest, began = None, time.monotonic()
    with bar(output, "comparing", None, "records") as advance:
        for newest in ask_log.verification(home):
            advance(newest.compared, newest.records)
            for difference in map(ask_log.difference, newest.differences):
                found.append(difference)
                if not output.json:
                    output.console.print(_line(difference))
    if newest is None or not newest.done:
        raise PlatformError("user-management ended before it had compared everything")
    seconds = time.monotonic() - began
    result = {
        "records": newest.compared,
        "parked": newest.parked,
        "differences": found,
        "seconds": round(seconds, 3),
        "records_per_second": round(newest.compared / seconds),
    }
    output.result(result, _summary(result))
    return exits.FAILED if found else exits.OK


def _summary(result: Document) -> str:
    count = len(result["differences"])
    told = "the read store is the fold of the log"
    if count:
        told = f"{count} difference{'s' if count > 1 else ''} between the read store and the log"
    parked = f"; {result['parked']} parked, not compared" if result["parked"] else ""
    return (
        f"{result['records']:,} records in {result['seconds']:.1f} s"
        f" ({result['records_per_second']:,}/s): {told}{parked}"
    )


def _line(difference: Document) -> Text:
    position = difference["position"]
    line = Text(f"{position['partition']}/{position['offset']}".rjust(9), style="dim")
    column = f".{difference['column']}" if difference["column"] else ""
    line.append(f"  {difference['table']}{column}  {difference['key'] or ''}  ", style="bold red")
    expected, found = _short(difference["expected"]), _short(difference["found"])
    if not column:
        if difference["expected"] is None:
            return line.append(f"should not be there: {found}", style="default")
        return line.append(f"is missing: {expected}", style="default")
    return line.append(f"should be {expected}, is {found}", style="default")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
