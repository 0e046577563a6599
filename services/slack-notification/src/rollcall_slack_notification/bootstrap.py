"""The composition root: the one place that knows every part."""

from collections.abc import Sequence
from typing import Any

from rollcall_events import Consumer
from rollcall_service.counts import ledger_counts, parked_counts
from rollcall_service.deliveries_server import deliveries_service
from rollcall_service.held import HeldGauges
from rollcall_service.ledger_store import LedgerStore
from rollcall_service.lifecycle import Component
from rollcall_service.logs import configure_logging
from rollcall_service.management import ManagementServer
from rollcall_service.operators import CONNECTIONS, OperatorsServer
from rollcall_service.parking_server import parking_service
from rollcall_service.postgres import make_engine
from rollcall_service.sender import Sender
from rollcall_service.status import replica_status
from rollcall_service.traced_send import traced
from rollcall_service.tracing import Tracing
from rollcall_slack_notification.client import Poster, make_client
from rollcall_slack_notification.messages import make_send
from rollcall_slack_notification.settings import SCHEMA, SERVICE, Settings
from rollcall_slack_notification.subscriptions import TOPIC, subscription

WORKERS = 4
SPACING = 1.0  # seconds; Slack allows about one message a second to a conversation


def build(settings: Settings) -> Sequence[Component]:
    """The service's components in the order of their start."""
    configure_logging(SERVICE, settings.replica_id, settings.log_level)
    tracing = Tracing(SERVICE, settings.replica_id)
    # The consumer's callbacks, the counts, and whoever begins a session of its own.
    pool = 5 + CONNECTIONS
    engine = make_engine(settings.database_url, schema=SCHEMA, pool_size=pool)
    store = LedgerStore(engine, "rollcall_slack_notification", SCHEMA)
    sender = Sender(
        engine,
        traced("Slack chat.postMessage", make_send(Poster(make_client(settings.slack)))),
        schema=SCHEMA,
        name=settings.replica_id,
        workers=WORKERS,
        spacing=SPACING,
    )
    subscribed = subscription(settings.slack.channel)
    deliveries, parked = ledger_counts(engine), parked_counts(engine.connect)
    consumer = Consumer(subscribed, settings.kafka, engine)
    held = HeldGauges(subscribed.group, consumer.status)

    def status() -> dict[str, Any]:
        told = replica_status(settings.replica_id, SERVICE, TOPIC, consumer.status())
        return told | {"deliveries": deliveries.read(), "parked": parked.read()}

    management = ManagementServer(
        settings.management_host,
        settings.management_port,
        healthy=lambda: consumer.healthy() and sender.healthy(),
        ready=lambda: consumer.ready() and sender.healthy(),
        status=status,
    )
    operators = OperatorsServer(
        settings.grpc_host,
        settings.grpc_port,
        [deliveries_service(engine, SCHEMA), parking_service(lambda: [(engine, subscribed)])],
    )
    return [tracing, management, store, deliveries, parked, held, sender, operators, consumer]
