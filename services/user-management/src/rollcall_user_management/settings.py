"""The service's settings; the README's table of variables is their documentation."""

from collections.abc import Mapping
from dataclasses import dataclass

from rollcall_events import KafkaSettings
from rollcall_service.settings import Env

SERVICE = "user-management"
SCHEMA = "user_management"


@dataclass(frozen=True)
class Settings:
    database_url: str
    kafka: KafkaSettings
    replica_id: str
    grpc_host: str
    grpc_port: int
    management_host: str
    management_port: int
    log_level: str

    @classmethod
    def from_env(cls, variables: Mapping[str, str]) -> "Settings":
        """Raises ValueError with one line that says what to set."""
        env = Env(variables)
        return cls(
            database_url=env.secret("DATABASE_URL", "postgresql://user:password@host:port/db"),
            kafka=KafkaSettings.from_env(variables),
            replica_id=env.replica_id(SERVICE),
            grpc_host=env.text("GRPC_HOST", "127.0.0.1"),
            grpc_port=env.integer("GRPC_PORT", 50051, minimum=1, maximum=65535),
            management_host=env.text("MANAGEMENT_HOST", "127.0.0.1"),
            management_port=env.integer("MANAGEMENT_PORT", 0, maximum=65535),
            log_level=env.text("LOG_LEVEL", "INFO"),
        )
