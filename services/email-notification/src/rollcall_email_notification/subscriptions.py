"""Which events this service listens to, and what handles each."""

from rollcall_email_notification import handlers, recipients
from rollcall_email_notification.batch import Batch, begin
from rollcall_email_notification.settings import SCHEMA, SERVICE
from rollcall_events import Handler, Subscription
from rollcall_service import ledger

# RoleCreatedEvent, RoleUpdatedEvent and RoleDeletedEvent concern no single user: no mail.
HANDLERS: dict[str, Handler] = {
    "rollcall.users.v1.UserCreatedEvent": handlers.user_created,
    "rollcall.users.v1.UserUpdatedEvent": handlers.user_updated,
    "rollcall.users.v1.UserDeletedEvent": handlers.user_deleted,
    "rollcall.users.v1.UserLoggedInEvent": handlers.user_logged_in,
    "rollcall.users.v1.RoleAssignedToUserEvent": handlers.role_assigned,
    "rollcall.users.v1.RoleUnassignedFromUserEvent": handlers.role_unassigned,
}

SUBSCRIPTION = Subscription(
    group=SERVICE,
    schema=SCHEMA,
    topic="users",
    handlers=HANDLERS,
    begin=begin,
    end=Batch.end,
    prepare=recipients.PREPARE + ledger.PREPARE,
)
