"""The channel to user-management."""

import json
from typing import Any

import grpc

# Attempts of one RPC, 1.3 s apart in all: enough to pass over a replica that died, short enough
# to tell a client within 2 s that there is none. A replica that cannot reach the log asks for the
# next attempt at once. Every command carries its id, so a repetition is recognised.
RETRY_POLICY: dict[str, Any] = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "0.6s",
    "backoffMultiplier": 2,
    # A replica that stops cleanly may cancel what had only just arrived.
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}
_SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [
                {"service": "rollcall.users.v1.UserCommandService"},
                {"service": "rollcall.users.v1.UserQueryService"},
            ],
            "retryPolicy": RETRY_POLICY,
        }
    ],
}
_MEBIBYTE = 1024 * 1024
_OPTIONS = {
    "grpc.service_config": json.dumps(_SERVICE_CONFIG),
    # A request larger than this buffer would not be retried.
    "grpc.per_rpc_retry_buffer_size": 16 * _MEBIBYTE,
    "grpc.max_receive_message_length": 32 * _MEBIBYTE,
    # Replicas come and go: an address that refuses is tried again within 2 s, and one that
    # neither answers nor refuses does not hold up those that do.
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 1000,
    "grpc.max_reconnect_backoff_ms": 2000,
    "grpc.dns_min_time_between_resolutions_ms": 2000,
    # Servers end connections that are pinged more often than every 5 minutes.
    "grpc.keepalive_time_ms": 300_000,
    "grpc.keepalive_timeout_ms": 5000,
}


def open_channel(target: str) -> grpc.aio.Channel:
    """Round robin over the addresses of the target that answer; connects when first used."""
    return grpc.aio.insecure_channel(target, options=list(_OPTIONS.items()))
