"""What the services stand on, started at the same time: Postgres, the broker and stand-ins."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rollcall_local import embedded_broker, parts, postgres
from rollcall_local.child import Part
from rollcall_local.credentials import Credentials
from rollcall_local.errors import PlatformError, Unavailable
from rollcall_local.fleet import Fleet
from rollcall_local.ports import HOST
from rollcall_local.process import python
from rollcall_local.services import Wiring
from rollcall_local.settings import Settings

_STAND_IN_TOKEN = "xoxb-stand-in"  # noqa: S105  (the stand-in takes any)


@dataclass(frozen=True)
class Broker:
    """kind: kafka, embedded, or external (KAFKA_BOOTSTRAP_SERVERS)."""

    kind: str
    bootstrap_servers: str
    notice: str | None = None  # what nobody must overlook

    @property
    def in_memory(self) -> bool:
        return self.kind == "embedded"

    @property
    def database(self) -> str:
        """A log in memory gets a database of its own, so that Kafka's keeps its read store."""
        return f"{postgres.DATABASE}_embedded" if self.in_memory else postgres.DATABASE


async def start(fleet: Fleet, settings: Settings, kept: Credentials) -> tuple[Broker, Wiring]:
    """Start them all; they are ready, and Postgres has what the services need, on return."""
    try:
        async with asyncio.TaskGroup() as group:
            broker = group.create_task(_broker(fleet, settings, kept))
            group.create_task(_postgres(fleet, settings, kept))
            group.create_task(_stand_ins(fleet, settings))
    except* PlatformError as failures:
        raise failures.exceptions[0] from None
    chosen = broker.result()
    return chosen, Wiring(
        ports=settings.ports,
        bootstrap_servers=chosen.bootstrap_servers,
        group_protocol="classic" if chosen.in_memory else "consumer",
        database_urls=await _databases(settings, kept, chosen),
        token_secret=kept.token_secret,
        mail=_mail(settings),
        slack=_slack(settings),
    )


async def _postgres(fleet: Fleet, settings: Settings, kept: Credentials) -> None:
    if settings.database_url:
        return
    data = fleet.home.data / "postgres"
    password = kept.postgres[postgres.SUPERUSER]
    await asyncio.to_thread(postgres.initialise, data, password)
    await _started(fleet, parts.postgres_part(fleet.home, settings.ports))


async def _databases(settings: Settings, kept: Credentials, broker: Broker) -> dict[str, str]:
    """DATABASE_URL by role. A log that is empty at each start gets a database that is too."""
    if settings.database_url:
        if broker.in_memory:
            raise PlatformError(
                "the embedded broker's log is empty at each start and needs a database that is "
                "too: unset DATABASE_URL"
            )
        return dict.fromkeys(postgres.SERVICE_ROLES, settings.database_url)
    server = postgres.Server(settings.ports["POSTGRES_PORT"], kept.postgres)
    await asyncio.to_thread(postgres.provide, server, broker.database, anew=broker.in_memory)
    return {role: server.url(role, broker.database) for role in postgres.SERVICE_ROLES}


async def _broker(fleet: Fleet, settings: Settings, kept: Credentials) -> Broker:
    if settings.bootstrap_servers:
        return Broker("external", settings.bootstrap_servers)
    port = settings.ports["KAFKA_PORT"]
    notice = embedded_broker.NOTICE
    if settings.broker != "embedded":
        try:
            argv = await _prepare_kafka(fleet, settings, kept)
            await _started(fleet, parts.kafka_part(argv, port))
            return Broker("kafka", f"{HOST}:{port}")
        except Unavailable as error:
            if settings.broker == "kafka":
                raise PlatformError(f"Apache Kafka cannot be had: {error}") from None
            notice = f"{notice} Apache Kafka cannot be had: {error}."
            fleet.say(notice)
    await _started(fleet, parts.embedded_part(fleet.home, port))
    return Broker("embedded", f"{HOST}:{port}", notice)


async def _prepare_kafka(fleet: Fleet, settings: Settings, kept: Credentials) -> list[str]:
    """Kafka's command, once everything it needs is in place. Raises Unavailable."""
    ports = settings.ports
    arguments = (
        *(str(fleet.home.data / "kafka"), str(ports["KAFKA_PORT"])),
        *(str(ports["KAFKA_CONTROLLER_PORT"]), kept.cluster_id),
    )
    answer = await _told(fleet.say, python("rollcall_local.prepare_kafka", *arguments))
    if "argv" in answer:
        return list(answer["argv"])
    if "unavailable" in answer:
        raise Unavailable(answer["unavailable"])
    raise PlatformError(answer.get("error", "preparing Kafka failed: see supervisor.log"))


async def _told(say: Callable[[str], None], argv: tuple[str, ...]) -> dict[str, Any]:
    """Run a program that tells of its progress in JSON lines; its last line."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, limit=1_000_000
    )
    assert process.stdout
    answer: dict[str, Any] = {}
    try:
        async for line in process.stdout:
            answer = json.loads(line)
            if "say" in answer:
                say(answer["say"])
        return answer
    finally:
        if process.returncode is None:  # interrupted
            process.terminate()
        await process.wait()


async def _stand_ins(fleet: Fleet, settings: Settings) -> None:
    wanted = []
    if not settings.smtp_url:
        wanted.append(parts.mailbox_part(fleet.home, settings.ports))
    if not settings.slack_bot_token:
        wanted.append(parts.slack_part(fleet.home, settings.ports))
    await _started(fleet, *wanted)


async def _started(fleet: Fleet, *started: Part) -> None:
    fleet.start(*started)
    await fleet.until_ready(*(part.name for part in started))


def _mail(settings: Settings) -> dict[str, str]:
    mailbox = f"smtp://{HOST}:{settings.ports['SMTP_PORT']}"
    return {"SMTP_URL": settings.smtp_url or mailbox, "MAIL_FROM": settings.mail_from}


def _slack(settings: Settings) -> dict[str, str]:
    variables = {"SLACK_BOT_TOKEN": settings.slack_bot_token or _STAND_IN_TOKEN}
    if not settings.slack_bot_token:
        variables["SLACK_API_URL"] = f"http://{HOST}:{settings.ports['SLACK_PORT']}/api/"
    elif settings.slack_api_url:
        variables["SLACK_API_URL"] = settings.slack_api_url
    return variables | ({"SLACK_CHANNEL": settings.slack_channel} if settings.slack_channel else {})
