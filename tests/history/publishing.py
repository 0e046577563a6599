"""Logs whose records bear the stamps that a history says."""

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it exports them untold
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from rollcall_events import KafkaSettings

_WITHIN = 20.0  # seconds


def stamped_by_producers(settings: KafkaSettings, topic: str) -> None:
    """Let producers say when their records were appended: brokers with clocks of their own in one
    broker. The embedded one does so anyway."""
    if settings.group_protocol == "classic":
        return
    entry = ConfigEntry(
        "message.timestamp.type",
        "CreateTime",
        incremental_operation=AlterConfigOpType.SET,
    )
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": settings.bootstrap_servers})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(_WITHIN)
