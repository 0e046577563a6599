"""What the gateway is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from rollcall_service.settings import Env, SettingsError

MINIMUM_SECRET = 32


@dataclass(frozen=True)
class Settings:
    replica_id: str
    host: str
    port: int
    management_host: str
    management_port: int
    # A gRPC target: `dns:///name:port` or `ipv4:host:port,host:port`; round robin over all of it.
    user_management_target: str
    token_secret: bytes
    # Requests under /v1 that are worked on at once; those beyond are told to come back.
    max_in_flight: int
    log_level: str

    @classmethod
    def from_env(cls, variables: Mapping[str, str]) -> "Settings":
        env = Env(variables)
        return cls(
            replica_id=env.replica_id("gateway"),
            host=env.text("GATEWAY_HOST", "127.0.0.1"),
            port=env.integer("GATEWAY_PORT", 8080, maximum=65535),
            management_host=env.text("MANAGEMENT_HOST", "127.0.0.1"),
            management_port=env.integer("MANAGEMENT_PORT", 0, maximum=65535),
            user_management_target=env.required(
                "USER_MANAGEMENT_TARGET", "a gRPC target such as dns:///user-management:50051"
            ),
            token_secret=_secret(env.secret("ROLLCALL_TOKEN_SECRET", "at least 32 characters")),
            max_in_flight=env.integer("GATEWAY_MAX_IN_FLIGHT", 512, minimum=1, maximum=100_000),
            log_level=env.text("LOG_LEVEL", "INFO"),
        )


def _secret(text: str) -> bytes:
    if len(text) < MINIMUM_SECRET:
        raise SettingsError(f"ROLLCALL_TOKEN_SECRET needs at least {MINIMUM_SECRET} characters")
    return text.encode()
