"""A Kafka that asks for what production's asks for: TLS, a user with a password, and rights."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import (
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from rollcall_events import KafkaSettings
from rollcall_events.security import Security
from rollcall_local import java, kafka, ports

_PASSWORD = "only-for-this-test"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_PATTERNS = {
    "literal": ResourcePatternType.LITERAL,
    "prefix": ResourcePatternType.PREFIXED,
}


@dataclass(frozen=True)
class Secured:
    servers: str
    ca_file: str

    def settings(self, user: str, mechanism: str = "SCRAM-SHA-512") -> KafkaSettings:
        security = Security("SASL_SSL", self.ca_file, mechanism, user, _PASSWORD)
        return KafkaSettings(self.servers, user, security=security)

    @property
    def owner(self) -> KafkaSettings:
        """May do everything, as Strimzi's operators may."""
        return self.settings("owner", "PLAIN")

    def provide(self, user: str, acls: Sequence[Mapping[str, Any]]) -> None:
        """What Strimzi's user operator makes of a KafkaUser."""
        admin = AdminClient(self.owner.common())
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        upsertion = UserScramCredentialUpsertion(user, credential, _PASSWORD.encode())
        admin.alter_user_scram_credentials([upsertion])[user].result(10)
        bindings = [b for acl in acls for b in _bindings(user, acl)]
        for made in admin.create_acls(bindings).values():
            made.result(10)


@contextmanager
def running(directory: Path) -> Iterator[Secured]:
    ca_file = _certificate(directory)
    listener = "listener.name.plaintext"  # its name there, whatever protocol it speaks
    settings = {
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_SSL",
        "ssl.keystore.location": str(directory / "keys.p12"),
        "ssl.keystore.password": _PASSWORD,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": ca_file,
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        f"{listener}.plain.sasl.jaas.config": f'{_PLAIN} username="owner" password="{_PASSWORD}"'
        f' user_owner="{_PASSWORD}";',
        f"{listener}.scram-sha-512.sasl.jaas.config": _SCRAM,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:owner;User:ANONYMOUS",  # the latter is the node to its controller
    }
    with kafka.running(directory / "kafka", ports.free_port(), settings) as broker:
        yield Secured(broker.bootstrap_servers, ca_file)


def _certificate(directory: Path) -> str:
    """A key that signed itself, in keys.p12; the file of its certificate."""
    keys = ("-keystore", "keys.p12", "-storepass", _PASSWORD, "-alias", "kafka")
    name = ("-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-keyalg", "EC")
    _keytool(directory, "-genkeypair", *keys, *name, "-validity", "2")
    _keytool(directory, "-exportcert", *keys, "-rfc", "-file", "ca.crt")
    return str(directory / "ca.crt")


def _keytool(directory: Path, *arguments: str) -> None:
    program = java.find(os.environ).parent / "keytool"
    argv = [str(program), *arguments]
    subprocess.run(argv, cwd=directory, check=True, capture_output=True, timeout=60)


def _bindings(user: str, acl: Mapping[str, Any]) -> Iterator[AclBinding]:
    resource = acl["resource"]
    for operation in acl["operations"]:
        yield AclBinding(
            ResourceType[resource["type"].upper()],
            resource["name"],
            _PATTERNS[resource.get("patternType", "literal")],
            f"User:{user}",
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
