"""rollcall up, down, clean"""

import argparse
import time
from typing import Any

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_local import client
from rollcall_local.home import Home


def up(home: Home, options: argparse.Namespace, output: Output) -> int:
    began = time.monotonic()
    started = client.up(home, output.progress)
    known = client.status(home)
    headline = (
        f"The platform runs, after {time.monotonic() - began:.1f} s."
        if started
        else "The platform runs already; nothing was changed."
    )
    document = {"started": started, "gateway": known["gateway"], "parts": _addresses(known)}
    output.result(document | {"notice": known["notice"]}, _welcome(headline, known))
    return exits.OK


def down(home: Home, options: argparse.Namespace, output: Output) -> int:
    stopped = client.down(home)
    text = "The platform is stopped." if stopped else "The platform was not running."
    output.result({"stopped": stopped}, text)
    return exits.OK


def clean(home: Home, options: argparse.Namespace, output: Output) -> int:
    client.down(home)
    removed = home.remove()
    text = "The platform's data is removed." if removed else "There was nothing to remove."
    output.result({"removed": removed}, text)
    return exits.OK


def _addresses(known: dict[str, Any]) -> dict[str, str]:
    return {part["name"]: part["address"] for part in known["parts"]}


def _welcome(headline: str, known: dict[str, Any]) -> str:
    addresses = {"gateway": f"{known['gateway']}/docs"} | _addresses(known)
    width = max(map(len, addresses))
    lines = [
        headline,
        "",
        *(f"  {name:<{width}}  {address}" for name, address in addresses.items()),
        "",
        "Try:",
        f'  curl {known["gateway"]}/v1/users -H "Authorization: Bearer $(make -s token)" \\',
        "    -H 'Content-Type: application/json' \\",
        '    -d \'{"email": "ada@example.com", "name": "Ada Lovelace"}\'',
    ]
    return "\n".join(lines + (["", known["notice"]] if known["notice"] else []))
