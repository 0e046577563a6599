"""What a command is told: the identity, version, position and accepted representation."""

from datetime import datetime

from rollcall.users.v1 import commands_pb2 as commands
from rollcall.users.v1 import queries_pb2 as pb
from rollcall_events import Recorded
from rollcall_user_management.domain.decide import Aggregate
from rollcall_user_management.domain.state import User
from rollcall_user_management.representations import role_message, timestamp, user_message


def answer(state: Aggregate) -> commands.CommandResult:
    """The answer as far as it is known before the event is in the log."""
    result = commands.CommandResult(id=state.id, version=state.version)
    if state.live and isinstance(state, User):
        result.user.CopyFrom(user_message(state))
    elif state.live:
        assert not isinstance(state, User)
        result.role.CopyFrom(role_message(state))
    return result


def acknowledged(encoded: bytes, topic_id: str, recorded: Recorded) -> commands.CommandResult:
    """The kept answer, with the position and the broker's time."""
    result = commands.CommandResult.FromString(encoded)
    result.position.CopyFrom(
        _position(topic_id, recorded.position.partition, recorded.position.offset)
    )
    if name := result.WhichOneof("representation"):
        _stamp(getattr(result, name), recorded.recorded_at)
    return result


def unchanged(state: Aggregate, topic_id: str) -> commands.CommandResult:
    """The aggregate as it is, with the position of its newest event."""
    result = answer(state)
    assert state.last is not None
    result.position.CopyFrom(_position(topic_id, state.last.partition, state.last.offset))
    return result


def _position(topic_id: str, partition: int, offset: int) -> pb.Position:
    return pb.Position(topic_id=topic_id, partition=partition, offset=offset)


def _stamp(representation: pb.User | pb.Role, recorded_at: datetime) -> None:
    moment = timestamp(recorded_at)
    assert moment is not None
    representation.updated_at.CopyFrom(moment)
    if representation.version == 1:
        representation.created_at.CopyFrom(moment)
