"""rollcall deliveries: what the notification services owe, and what became of it."""

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from rollcall.deliveries.v1 import deliveries_pb2 as pb
from rollcall.deliveries.v1.deliveries_pb2_grpc import DeliveryServiceStub
from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_local import client
from rollcall_local.client import NotRunning
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home

HELP = "what is to be sent, and what became of it"
SERVICES = {"email": "email-notification", "slack": "slack-notification"}
STATES = ("pending", "sent", "failed", "cancelled", "settled")
_PREFIX = "DELIVERY_STATE_"
_COLOURS = {"sent": "green", "pending": "yellow", "failed": "red"}
_WITHIN = 30.0  # seconds for a call
_PAGE = 200
_AGO = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def run(home: Home, options: argparse.Namespace, output: Output) -> int:
    if options.action == "list":
        return _list(home, options, output)
    if not options.all and _filter(options) == pb.DeliveryFilter():
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


def moment(text: str) -> datetime:
    """RFC 3339, or how long ago: 30s, 5m, 2h, 7d. Raises ArgumentTypeError."""
    ago = _AGO.fullmatch(text)
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        message = "must be a time such as 2026-05-04T12:00:00Z, or how long ago: 30s, 5m, 2h, 7d"
        raise argparse.ArgumentTypeError(message) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _list(home: Home, options: argparse.Namespace, output: Output) -> int:
    request = pb.ListDeliveriesRequest(filter=_filter(options), page_size=options.lines)
    found = []
    for service, stub in _stubs(home, options):
        answer = _call(service, stub.ListDeliveries, request)
        found += [_document(service, delivery) for delivery in answer.deliveries]
    found.sort(key=lambda d: str(d["created_at"]), reverse=True)
    shown = found[: options.lines]
    if output.json:
        output.result(shown)
    else:
        output.console.print(_table(shown) if shown else "No deliveries.")
    return exits.OK


def _change(home: Home, options: argparse.Namespace, output: Output) -> int:
    retrying = options.action == "retry"
    make = pb.RetryDeliveriesRequest if retrying else pb.CancelDeliveriesRequest
    changed: list[dict[str, Any]] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=output.notes, transient=True) as progress:
        task = progress.add_task("", total=None)
        for service, stub in _stubs(home, options):
            rpc = stub.RetryDeliveries if retrying else stub.CancelDeliveries
            after: int | None = 0
            while after is not None:
                request = make(filter=_filter(options), page_size=_PAGE, after_id=after)
                request.dry_run = options.dry_run
                answer = _call(service, rpc, request)
                changed += [_document(service, delivery) for delivery in answer.changed]
                after = answer.next_after_id if answer.HasField("next_after_id") else None
                progress.update(task, description=f"{len(changed)} so far")
    if output.json:
        output.result({"changed": changed, "dry_run": options.dry_run})
        return exits.OK
    if options.dry_run and changed:
        output.console.print(_table(changed))
    done = {"retry": "made due again", "cancel": "cancelled"}[options.action]
    count = f"{len(changed)} {'delivery' if len(changed) == 1 else 'deliveries'}"
    output.console.print(f"{count} would be {done}" if options.dry_run else f"{count} {done}")
    return exits.OK


def _stubs(home: Home, options: argparse.Namespace) -> Iterator[tuple[str, DeliveryServiceStub]]:
    """Of each service asked, one replica. Raises NotRunning."""
    names = [options.service] if options.service else list(SERVICES)
    services = {s["name"]: s["replicas"] for s in client.status(home)["services"]}
    for name in names:
        running = [r["grpc"] for r in services[SERVICES[name]] if r["state"] == "running"]
        if not running:
            raise NotRunning(f"no replica of {SERVICES[name]} runs: see `rollcall status`")
        with closing(grpc.insecure_channel(running[0])) as channel:
            yield name, DeliveryServiceStub(channel)


def _call(service: str, rpc: Callable[..., Any], request: Any) -> Any:
    try:
        return rpc(request, timeout=_WITHIN)
    except grpc.RpcError as error:
        said = f"{SERVICES[service]}: {error.details()}"
        unreachable = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        raise (NotRunning if error.code() in unreachable else PlatformError)(said) from None


def _filter(options: argparse.Namespace) -> pb.DeliveryFilter:
    states = [pb.DeliveryState.Value(_PREFIX + s.upper()) for s in options.state or ()]
    wanted = pb.DeliveryFilter(
        subject_id=options.user,
        event_id=options.event,
        ids=options.id or (),
        states=states,
        kind=options.kind,
        recipient=options.to,
    )
    for name in ("since", "until"):
        if getattr(options, name):
            getattr(wanted, name).FromDatetime(getattr(options, name))
    return wanted


def _document(service: str, delivery: pb.Delivery) -> dict[str, Any]:
    return {
        "service": service,
        "id": delivery.id,
        "state": pb.DeliveryState.Name(delivery.state).removeprefix(_PREFIX).lower(),
        "kind": delivery.kind,
        "recipient": delivery.recipient,
        "subject_id": delivery.subject_id,
        "event_id": delivery.event_id,
        "attempts": delivery.attempts,
        "last_error": delivery.last_error or None,
        "created_at": _time(delivery, "created_at"),
        "due_at": _time(delivery, "due_at"),
        "finished_at": _time(delivery, "finished_at"),
        "leased_by": delivery.leased_by or None,
        "position": {
            "topic": delivery.topic,
            "partition": delivery.partition,
            "offset": delivery.offset,
        },
    }


def _time(delivery: pb.Delivery, name: Any) -> str | None:
    if not delivery.HasField(name):
        return None
    found: datetime = getattr(delivery, name).ToDatetime(UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for column in ("service", "id", "made", "state", "kind", "to", "attempts", ""):
        table.add_column(column, no_wrap=column != "")
    for d in found:
        state = Text(d["state"], style=_COLOURS.get(d["state"], ""))
        row = (d["service"], str(d["id"]), d["created_at"], state, d["kind"], d["recipient"])
        table.add_row(*row, str(d["attempts"]), _remark(d))
    return table


def _remark(delivery: dict[str, Any]) -> str:
    if delivery["leased_by"]:
        return f"on its way, by {delivery['leased_by']}"
    due = f"again at {delivery['due_at']}" if delivery["due_at"] and delivery["attempts"] else ""
    waits = delivery["state"] == "pending" and not delivery["due_at"]
    behind = "behind an earlier one" if waits else ""
    return ", ".join(filter(None, (delivery["last_error"], due, behind)))
