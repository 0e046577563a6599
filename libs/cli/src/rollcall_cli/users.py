"""rollcall users: who there is, who there was, and how they became what they are."""

import argparse
import json
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from rich.text import Text

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_cli.times import moment, to_the_second
from rollcall_local.home import Home

HELP = "users as they are and as they were, and their history"

Document = dict[str, Any]


def add_actions(parser: argparse.ArgumentParser, machine: argparse.ArgumentParser) -> None:
    """machine: with the options that every command has."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=text, description=text, parents=[machine])

    one = action("get", "one user, now or then")
    one.add_argument("id", type=_id, metavar="ID")
    then = one.add_mutually_exclusive_group()
    _add_moment(then)
    then.add_argument("--version", type=_version, metavar="N", help="right after its event N")
    some = action("list", "users in order of their creation, now or then")
    some.add_argument("--q", metavar="TEXT", help="part of the name or e-mail")
    some.add_argument("--email", help="exactly this e-mail")
    some.add_argument("--role", help="id or name of a role they hold")
    some.add_argument("--status", choices=("active", "suspended"))
    _add_moment(some)
    some.add_argument("-n", "--lines", type=_lines, default=50, help="1 to 10000 (default 50)")
    told = action("history", "every event of a user, the oldest first; also of a deleted one")
    told.add_argument("id", type=_id, metavar="ID")
    told.add_argument(
        "--from-log", action="store_true", help="as the log has them, without the read store"
    )


def run(home: Home, options: argparse.Namespace, output: Output) -> int:
    return {"get": _get, "list": _list, "history": _history}[options.action](home, options, output)


def _get(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_gateway  # httpx's import is felt by every other command

    found = ask_gateway.user(home, options.id, at=_at(options), version=options.version)
    if output.json:
        output.result(found)
    else:
        output.console.print(_card(found))
    return exits.OK


def _list(home: Home, options: argparse.Namespace, output: Output) -> int:
    from rollcall_cli import ask_gateway

    filters = {name: getattr(options, name) for name in ("q", "email", "role", "status")}
    found = list(ask_gateway.users(home, options.lines, at=_at(options), **filters))
    if output.json:
        output.result(found)
    else:
        output.console.print(_page_of_users(found) if found else "No users.")
    return exits.OK


def _history(home: Home, options: argparse.Namespace, output: Output) -> int:
    if options.from_log:
        from rollcall_cli import ask_log

        return _tell(ask_log.timeline(home, options.id), output)
    from rollcall_cli import ask_gateway

    return _tell(ask_gateway.timeline(home, options.id), output)


def _tell(events: Iterable[Document], output: Output) -> int:
    """events: as the API shows them, wherever they were read."""
    told = list(events)
    if output.json:
        output.result(told)
    else:
        output.console.print(_page_of_events(told) if told else "No events.")
    return exits.OK


def _card(user: Document) -> Text:
    shown = {**user, "roles": ", ".join(role["name"] for role in user["roles"])}
    return _aligned(
        [Text(name, style="dim"), _text(value if isinstance(value, str) else _value(value))]
        for name, value in shown.items()
    )


def _page_of_users(users: list[Document]) -> Text:
    return _aligned(
        [
            Text(to_the_second(user["created_at"]), style="dim"),
            Text(user["id"]),
            Text(user["status"], style="" if user["status"] == "active" else "yellow"),
            _text(user["email"]),
            _text(user["name"]),
            _text(", ".join(role["name"] for role in user["roles"]), "dim"),
        ]
        for user in users
    )


def _page_of_events(events: list[Document]) -> Text:
    head = [Text(name, style="dim") for name in ("recorded", "version", "actor", "event", "")]
    return _aligned([head, *(row for event in events for row in _rows_of(event))])


def _rows_of(event: Document) -> Iterator[list[Text]]:
    """One for each change; what they have in common is in the first."""
    actor = event["actor"] or {"id": "", "name": None}
    name = (event["type"] or "no event").rpartition(".")[2].removesuffix("Event")
    cells = [
        Text(to_the_second(event["recorded_at"]), style="dim"),
        Text(str(event["version"] or "")),
        _text(actor["name"] or actor["id"]),
        _text(name, "red" if event["rejected"] else "cyan"),
    ]
    for change in list(_changes(event)) or [Text()]:
        yield [*cells, change]
        cells = [Text() for _ in cells]


def _changes(event: Document) -> Iterator[Text]:
    if event["rejected"]:
        yield _text(f"rejected: {event['rejected']}", "red")
    for change in event["changes"]:
        line = _text(f"{change['field']}: ", "dim")
        line.append(_text(f"{_value(change['old'])} → {_value(change['new'])}", "default"))
        yield line


def _value(value: Any) -> str:
    """As JSON, but a role by its name."""
    if isinstance(value, dict) and value.keys() == {"id", "name"}:
        return str(value["name"])
    return json.dumps(value, ensure_ascii=False)


def _text(text: str, style: str = "") -> Text:
    """What other people wrote, without what would move the terminal's cursor."""
    return Text("".join(c if c.isprintable() else "\ufffd" for c in text), style=style)


def _aligned(rows: Iterable[list[Text]]) -> Text:
    """In columns that are as wide as they have to be: no terminal cuts off what is in them."""
    table = list(rows)
    widths = [max(cell.cell_len for cell in column) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        for cell, width in zip(row[:-1], widths, strict=False):
            cell.pad_right(width - cell.cell_len + 2)
        lines.append(Text().join(row))
    return Text("\n").join(lines)


def _at(options: argparse.Namespace) -> str | None:
    return options.at.isoformat() if options.at else None


def _add_moment(parser: Any) -> None:
    parser.add_argument("--at", type=moment, metavar="TIME", help="then, or how long ago: 2h")


def _id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise argparse.ArgumentTypeError("must be the id of a user, a UUID") from None


def _version(text: str) -> int:
    return _number(text, 2**63 - 1)


def _lines(text: str) -> int:
    return _number(text, 10_000)


def _number(text: str, most: int) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {most}")
    return int(text)
