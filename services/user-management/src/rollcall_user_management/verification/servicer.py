"""What an operator asks of the log itself, over gRPC (projections.proto)."""

import time
from collections.abc import Generator
from uuid import UUID

from sqlalchemy import Engine

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall.projections.v1 import projections_pb2_grpc as pb_grpc
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


class VerificationServicer(pb_grpc.ProjectionServiceServicer):
    def __init__(self, engine: Engine, settings: KafkaSettings, subscription: Subscription):
        self._engine = engine
        self._settings = settings
        self._subscription = subscription

    @streamed(VERIFICATIONS, "this replica is verifying already: wait for it, or end it")
    def Verify(  # noqa: N802
        self, request: pb.VerifyRequest
    ) -> Generator[pb.VerifyProgress | None, None, None]:
        told, newest = 0.0, Progress(0, 0)
        for step in verify(self._engine, self._settings, self._subscription):
            newest = step or newest
            due = time.monotonic() - told > _PAUSE
            if due or (step and step.differences):
                yield from _messages(newest, step.differences if step else [])
                told = time.monotonic()
            else:
                yield None
        yield pb.VerifyProgress(
            compared=newest.compared, records=newest.records, parked=newest.parked, done=True
        )

    @streamed(TIMELINES, "this replica is reading other timelines from the log: try again")
    def ReadTimeline(  # noqa: N802
        self, request: pb.ReadTimelineRequest
    ) -> Generator[HistoryEvent | None, None, None]:
        try:
            key = str(UUID(request.key))
        except ValueError:
            raise InvalidField("key must be a UUID") from None
        yield from timeline(self._engine, self._settings, self._subscription, key)


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
