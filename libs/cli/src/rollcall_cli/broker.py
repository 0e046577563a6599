"""The running platform's Kafka."""

import os

from rollcall_events import KafkaSettings
from rollcall_events.security import Security
from rollcall_local import client
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home


def settings(home: Home) -> KafkaSettings:
    """With KAFKA_SECURITY_PROTOCOL and what goes with it. Raises NotRunning, PlatformError."""
    servers = client.status(home)["broker"]["bootstrap_servers"]
    try:
        return KafkaSettings(servers, security=Security.from_env(os.environ))
    except ValueError as error:
        raise PlatformError(str(error)) from None
