"""The generations of user-management's read store, asked over gRPC."""

from datetime import UTC
from typing import Any

from rollcall.projections.v1 import projections_pb2 as pb
from rollcall.projections.v1.projections_pb2_grpc import ProjectionServiceStub
from rollcall_cli.ask_services import call, channel
from rollcall_local.home import Home

_SERVICE = "user-management"
_STATE = "GENERATION_STATE_"

Document = dict[str, Any]


def listed(home: Home) -> list[Document]:
    """The newest first. Raises NotRunning, PlatformError."""
    answer = _ask(home, "ListGenerations", pb.ListGenerationsRequest())
    return [_generation(generation) for generation in answer.generations]


def started(home: Home, *, full_speed: bool) -> Document:
    """The one that is being filled from now on, or was already. Raises as `listed`."""
    return _generation(_ask(home, "StartRebuild", pb.StartRebuildRequest(full_speed=full_speed)))


def used(home: Home, number: int) -> Document:
    """The generation, live. Raises as `listed`, and NotNow."""
    return _generation(_ask(home, "UseGeneration", pb.UseGenerationRequest(number=number)))


def dropped(home: Home, number: int) -> None:
    """Raises as `listed`, and NotNow."""
    _ask(home, "DropGeneration", pb.DropGenerationRequest(number=number))


def _ask(home: Home, method: str, request: Any) -> Any:
    with channel(home, _SERVICE) as opened:
        return call(_SERVICE, getattr(ProjectionServiceStub(opened), method), request)


def _generation(generation: pb.Generation) -> Document:
    return {
        "number": generation.number,
        "state": pb.GenerationState.Name(generation.state).removeprefix(_STATE).lower(),
        "layout": generation.layout,
        "made_at": generation.made_at.ToDatetime(UTC).isoformat().replace("+00:00", "Z"),
        "full_speed": generation.full_speed,
        "folded": generation.folded,
        "records": generation.records,
    }
