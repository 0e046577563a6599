"""The generations of the read store, asked for as an operator asks: rebuilt, put to use, verified.

Raises NotMeasured where this platform cannot do that.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from bench import stage
from e2e.local_platform import Platform
from e2e.waiting import eventually

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall.projections.v1.projections_pb2_grpc import ProjectionServiceStub

_RPC_WITHIN = 30.0  # seconds
_VERIFIED_WITHIN = 1_800.0  # seconds, as for a rebuild
_PAUSE = threading.Event()  # never set: between two looks
Say = Callable[[str], None]


class NotMeasured(Exception):
    """The message says why."""


@dataclass(frozen=True)
class Rebuilt:
    number: int
    folded: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.folded / self.seconds


@dataclass(frozen=True)
class Verified:
    """differences: `table column` of each."""

    rows: int
    seconds: float
    differences: list[str]

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


class Generations:
    def __init__(self, channel: grpc.Channel, say: Say):
        self._stub = ProjectionServiceStub(channel)
        self._say = say

    def rebuild(self, *, full_speed: bool, halfway: Callable[[], object] | None = None) -> Rebuilt:
        """A new generation, filled until it has all that the log has. halfway: done once, when it
        has half of it."""
        began = time.perf_counter()
        with _measurable():
            made = self._stub.StartRebuild(
                pb.StartRebuildRequest(full_speed=full_speed), timeout=_RPC_WITHIN
            )
        last = made

        def filled() -> bool:
            nonlocal last, halfway
            _PAUSE.wait(0.5)
            last = self._generation(made.number)
            if halfway is not None and 2 * last.folded >= last.records > 0:
                halfway()
                halfway = None
            return last.records > 0 and last.folded >= last.records

        eventually(self._telling(filled, lambda: last), within=_VERIFIED_WITHIN)
        return Rebuilt(made.number, last.folded, time.perf_counter() - began)

    def use(self, number: int) -> None:
        with _measurable():
            request = pb.UseGenerationRequest(number=number)
            self._stub.UseGeneration(request, timeout=_RPC_WITHIN)

    def drop(self, number: int) -> None:
        with _measurable():
            request = pb.DropGenerationRequest(number=number)
            self._stub.DropGeneration(request, timeout=_RPC_WITHIN)

    def live(self) -> int:
        return next(g.number for g in self._all() if g.state == pb.GENERATION_STATE_LIVE)

    def verify(self) -> Verified:
        began, compared = time.perf_counter(), 0
        differences: list[str] = []
        with _measurable():
            for told in self._stub.Verify(pb.VerifyRequest(), timeout=_VERIFIED_WITHIN):
                compared = told.compared
                differences += [f"{d.table} {d.column}".strip() for d in told.differences]
        return Verified(compared, time.perf_counter() - began, differences)

    def _generation(self, number: int) -> pb.Generation:
        return next(g for g in self._all() if g.number == number)

    def _all(self) -> list[pb.Generation]:
        with _measurable():
            request = pb.ListGenerationsRequest()
            return list(self._stub.ListGenerations(request, timeout=_RPC_WITHIN).generations)

    def _telling(
        self, filled: Callable[[], bool], last: Callable[[], pb.Generation]
    ) -> Callable[[], bool]:
        """The condition, with a line of progress every few seconds."""
        told = time.monotonic()

        def checked() -> bool:
            nonlocal told
            if time.monotonic() > told + 5:
                told = time.monotonic()
                self._say(f"  {last().folded:,} of {last().records:,} records are rebuilt")
            return filled()

        return checked


@contextmanager
def opened(platform: Platform, say: Say) -> Iterator[Generations]:
    with grpc.insecure_channel(stage.grpc_target(platform)) as channel:
        yield Generations(channel, say)


@contextmanager
def _measurable() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise NotMeasured("the service does not have that") from None
        raise
