"""The composition root: the one place that knows every part."""

from collections.abc import Sequence
from typing import Any

from rollcall_email_notification.mailer import Mailer
from rollcall_email_notification.messages import make_send
from rollcall_email_notification.rendering import Renderer
from rollcall_email_notification.settings import SCHEMA, SERVICE, Settings
from rollcall_email_notification.subscriptions import SUBSCRIPTION
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

WORKERS = 32  # most wait for a mail server; one that hangs has each for ten seconds


def build(settings: Settings) -> Sequence[Component]:
    """The service's components in the order of their start."""
    configure_logging(SERVICE, settings.replica_id, settings.log_level)
    tracing = Tracing(SERVICE, settings.replica_id)
    # The consumer's callbacks, the counts, and whoever begins a session of its own.
    pool = 5 + CONNECTIONS
    engine = make_engine(settings.database_url, schema=SCHEMA, pool_size=pool)
    store = LedgerStore(engine, "rollcall_email_notification", SCHEMA)
    mailer = Mailer(settings.smtp)
    sender = Sender(
        engine,
        traced("SMTP send", make_send(Renderer(), mailer, settings.mail_from)),
        schema=SCHEMA,
        name=settings.replica_id,
        workers=WORKERS,
    )
    deliveries, parked = ledger_counts(engine), parked_counts(engine.connect)
    consumer = Consumer(SUBSCRIPTION, settings.kafka, engine)
    held = HeldGauges(SUBSCRIPTION.group, consumer.status)

    def status() -> dict[str, Any]:
        told = replica_status(settings.replica_id, SERVICE, SUBSCRIPTION.topic, consumer.status())
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
        [deliveries_service(engine, SCHEMA), parking_service(lambda: [(engine, SUBSCRIPTION)])],
    )
    counts: list[Component] = [deliveries, parked, held]
    return [tracing, management, store, *counts, mailer, sender, operators, consumer]
