"""What each group holds, asked over gRPC."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict

from rollcall.parking.v1 import parking_pb2 as pb
from rollcall.parking.v1.parking_pb2_grpc import ParkingServiceStub
from rollcall_cli.ask_services import NotThere, call, channel, channels
from rollcall_events.upcasting import READ_TYPES, present_message
from rollcall_local.home import Home

_PAGE = 200

Document = dict[str, Any]


def listed(home: Home, groups: Sequence[str]) -> list[Document]:
    """Every held sequence. Raises NotRunning, PlatformError."""
    found = []
    for group, opened in channels(home, groups):
        stub, after, more = ParkingServiceStub(opened), "", True
        while more:
            request = pb.ListParkedRequest(page_size=_PAGE, after_key=after)
            answer = call(group, stub.ListParked, request)
            found += [_sequence(group, sequence) for sequence in answer.sequences]
            after, more = answer.next_after_key, answer.HasField("next_after_key")
    return found


def shown(home: Home, groups: Sequence[str], key: str) -> list[Document]:
    """The sequence of a key in each group that holds it, with its records. Raises as `listed`."""
    found = []
    for group, opened in channels(home, groups):
        stub = ParkingServiceStub(opened)
        try:
            answer = call(group, stub.GetParked, pb.GetParkedRequest(key=key))
        except NotThere:
            continue
        records = [_record(record) for record in answer.records]
        found.append(_sequence(group, answer.sequence) | {"records": records})
    return found


def redriven(home: Home, sequences: Sequence[Document], *, dry_run: bool) -> Iterator[Document]:
    """What came of each. Raises as `listed`."""
    for group, of_group in itertools.groupby(sequences, key=lambda s: str(s["group"])):
        with channel(home, group) as opened:
            stub = ParkingServiceStub(opened)
            for sequence in of_group:
                key = sequence["key"]
                request = pb.RedriveParkedRequest(key=key, dry_run=dry_run)
                try:
                    yield _run(group, key, call(group, stub.RedriveParked, request).run)
                except NotThere:  # somebody else has run it
                    yield _run(group, key, pb.Run())


def discarded(
    home: Home, group: str, key: str, at: tuple[int, int], reason: str, *, dry_run: bool
) -> Document:
    """at: the partition and offset of the record that failed. Raises as `listed`."""
    request = pb.DiscardParkedRequest(
        key=key, partition=at[0], offset=at[1], reason=reason, dry_run=dry_run
    )
    with channel(home, group) as opened:
        answer = call(group, ParkingServiceStub(opened).DiscardParked, request)
        return _run(group, key, answer.run)


def _sequence(group: str, sequence: pb.ParkedSequence) -> Document:
    return {
        "group": group,
        "key": sequence.key,
        "position": {
            "topic": sequence.topic,
            "partition": sequence.partition,
            "offset": sequence.offset,
        },
        "event_id": sequence.event_id,
        "type": sequence.type,
        "reason": sequence.reason,
        "stack": sequence.stack,
        "attempts": sequence.attempts,
        "parked_at": _time(sequence.parked_at.ToDatetime(UTC)),
        "tried_at": _time(sequence.tried_at.ToDatetime(UTC)),
        "held": sequence.held,
    }


def _record(record: pb.HeldRecord) -> Document:
    headers = {name: value.decode(errors="replace") for name, value in record.headers.items()}
    type_ = headers.get("ce_type", "")
    known = present_message(type_, record.value) if type_ in READ_TYPES else None
    data = MessageToDict(known, preserving_proto_field_name=True) if known is not None else None
    return {
        "partition": record.partition,
        "offset": record.offset,
        "recorded_at": _time(record.recorded_at.ToDatetime(UTC)),
        "headers": headers,
        "data": data,
        "value": record.value.hex(),
    }


def _run(group: str, key: str, run: pb.Run) -> Document:
    return {
        "group": group,
        "key": key,
        "applied": run.applied,
        "rejected": run.rejected,
        "duplicates": run.duplicates,
        "left": run.left,
        "reason": run.reason or None,
    }


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
