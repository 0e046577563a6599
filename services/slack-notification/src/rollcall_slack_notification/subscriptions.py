"""Which events this service listens to, and what handles each."""

from rollcall_events import Handler, Subscription
from rollcall_service import ledger
from rollcall_slack_notification import admins
from rollcall_slack_notification.batch import Batch
from rollcall_slack_notification.handlers import Handlers
from rollcall_slack_notification.settings import SCHEMA, SERVICE

TOPIC = "users"


def handlers(channel: str | None) -> dict[str, Handler]:
    """channel: who is told of everything besides the admins."""
    tell = Handlers(channel)
    # UserLoggedInEvent is left out: sign-ins would drown what admins have to notice.
    return {
        "rollcall.users.v1.UserCreatedEvent": tell.user_created,
        "rollcall.users.v1.UserUpdatedEvent": tell.user_updated,
        "rollcall.users.v1.UserDeletedEvent": tell.user_deleted,
        "rollcall.users.v1.RoleAssignedToUserEvent": tell.role_assigned,
        "rollcall.users.v1.RoleUnassignedFromUserEvent": tell.role_unassigned,
        "rollcall.users.v1.RoleCreatedEvent": tell.role_created,
        "rollcall.users.v1.RoleUpdatedEvent": tell.role_updated,
        "rollcall.users.v1.RoleDeletedEvent": tell.role_deleted,
    }


def subscription(channel: str | None) -> Subscription:
    return Subscription(
        group=SERVICE,
        schema=SCHEMA,
        topic=TOPIC,
        handlers=handlers(channel),
        begin=Batch,
        end=Batch.end,
        prepare=admins.PREPARE + ledger.PREPARE,
    )
