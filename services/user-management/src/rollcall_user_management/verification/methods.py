"""What an operator asks of the log itself, over gRPC (projections.proto)."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall.users.v1.queries_pb2 import HistoryEvent
from rollcall_events import KafkaSettings, Subscription
from rollcall_service.operators import InvalidField
from rollcall_service.streaming import streamed
from rollcall_user_management.verification.timeline import timeline
from rollcall_user_management.verification.verifying import Progress, verify

VERIFICATIONS, TIMELINES = 1, 2  # at a time; each with a connection to Postgres
_PAUSE = 0.2  # seconds between two messages that tell of nothing but progress
_DIFFERENCES = 200  # in a message, at most
_BYTES = 1_000_000  # of them, about


def verification_methods(
    engine: Engine, settings: KafkaSettings, subscription: Subscription
) -> dict[str, Callable[..., Any]]:
    """Of the servicer, by name. engine: of no generation. subscription: of any. One verification
    and two timelines at a time, each with a connection to Postgres."""

    @streamed(VERIFICATIONS, "this replica is verifying already: wait for it, or end it")
    def verifying(_: Any, request: pb.VerifyRequest) -> Iterator[pb.VerifyProgress | None]:
        with closing(verify(engine, settings, subscription)) as steps:
            yield from _paced(steps)

    @streamed(TIMELINES, "this replica is reading other timelines from the log: try again")
    def reading(_: Any, request: pb.ReadTimelineRequest) -> Iterator[HistoryEvent | None]:
        try:
            key = str(UUID(request.key))
        except ValueError:
            raise InvalidField("key must be a UUID") from None
        with closing(timeline(engine, settings, subscription, key)) as events:
            yield from events

    return {"Verify": verifying, "ReadTimeline": reading}


def _paced(steps: Iterator[Progress | None]) -> Generator[pb.VerifyProgress | None, None, None]:
    """Differences at once, and progress a few times a second."""
    told, newest = 0.0, Progress(0, 0)
    for step in steps:
        newest = step or newest
        found = step.differences if step else []
        if found or time.monotonic() - told > _PAUSE:
            yield from _messages(newest, found)
            told = time.monotonic()
        else:
            yield None
    yield pb.VerifyProgress(
        compared=newest.compared, records=newest.records, parked=newest.parked, done=True
    )


def _messages(
    progress: Progress, differences: list[pb.Difference]
) -> Generator[pb.VerifyProgress, None, None]:
    """With no more differences in one than fit."""
    message = _message(progress)
    size = 0
    for difference in differences:
        if len(message.differences) == _DIFFERENCES or size > _BYTES:
            yield message
            message, size = _message(progress), 0
        message.differences.append(difference)
        size += difference.ByteSize()
    yield message


def _message(progress: Progress) -> pb.VerifyProgress:
    return pb.VerifyProgress(
        compared=progress.compared, records=progress.records, parked=progress.parked
    )
