"""How many replicas there may be, and the one log that they share."""

import pytest
from manifests.rendered import OVERLAYS, build, of_kind, one

from rollcall_events.topic import _CONFIG, PARTITIONS
from rollcall_service.operators import CONNECTIONS
from rollcall_user_management.bootstrap import EACH, SHARED

SCALED = {s["metadata"]["name"]: s["spec"] for s in of_kind(build("production"), "ScaledObject")}
CONSUMERS = {"user-management", "email-notification", "slack-notification"}
# Connections of one replica: user-management's with the live read store, the one before and one
# that is filled; the pool of the senders' services is made in their bootstrap.
POOLS = {"user-management": SHARED + 3 * EACH}
SENDERS_POOL = 5 + CONNECTIONS
RESERVED = 20  # of Postgres: its superuser, the operator and the standbys


def test_consumers_scale_by_lag_within_the_partitions_and_slowly_down() -> None:
    assert SCALED.keys() == CONSUMERS
    for name, spec in SCALED.items():
        assert spec["scaleTargetRef"] == {"name": name}
        assert 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"] <= PARTITIONS
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 300


def test_triggers_read_the_groups_of_the_services_on_the_topic() -> None:
    namespace = one(build("production"), "Namespace", "rollcall")["metadata"]["name"]
    for name in CONSUMERS - {"user-management"}:
        (trigger,) = SCALED[name]["triggers"]
        assert trigger["metadata"]["consumerGroup"] == name
        assert trigger["metadata"]["topic"] == "users"
        servers = trigger["metadata"]["bootstrapServers"]
        assert servers == f"kafka-kafka-bootstrap.{namespace}.svc:9093"
        acls = one(build("production"), "KafkaUser", "keda")["spec"]["authorization"]["acls"]
        assert {"resource": {"type": "group", "name": name}, "operations": ["Describe"]} in acls
    (trigger,) = SCALED["user-management"]["triggers"]
    assert f'namespace="{namespace}"' in trigger["metadata"]["query"]


def test_whoever_is_scaled_has_no_number_of_replicas() -> None:
    for deployment in of_kind(build("production"), "Deployment"):
        assert "replicas" not in deployment["spec"]
    targets = {s["scaleTargetRef"]["name"] for s in SCALED.values()} | {"gateway"}
    assert targets == {d["metadata"]["name"] for d in of_kind(build("production"), "Deployment")}


def test_postgres_has_connections_for_all_replicas_during_a_roll_out() -> None:
    (cluster,) = of_kind(build("production"), "Cluster")
    replicas = {name: spec["maxReplicaCount"] + 1 for name, spec in SCALED.items()}
    needed = sum(count * POOLS.get(name, SENDERS_POOL) for name, count in replicas.items())
    most = int(cluster["spec"]["postgresql"]["parameters"]["max_connections"])
    assert needed + RESERVED <= most


def test_the_topic_is_the_one_that_the_services_would_make() -> None:
    topic = one(build("production"), "KafkaTopic", "users")["spec"]
    assert (topic["partitions"], topic["replicas"]) == (PARTITIONS, 3)
    wanted = _CONFIG | {"min.insync.replicas": "2"}
    assert {name: str(value) for name, value in topic["config"].items()} == wanted


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_crashed_replicas_partitions_move_within_15_s(overlay: str) -> None:
    if overlay == "production":
        config = one(build(overlay), "Kafka", "kafka")["spec"]["kafka"]["config"]
        timeout = config["group.consumer.session.timeout.ms"]
    else:
        template = one(build(overlay), "StatefulSet", "kafka")["spec"]["template"]
        env = {v["name"]: v["value"] for v in template["spec"]["containers"][0]["env"]}
        timeout = env["KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS"]
    assert int(timeout) <= 10_000


def test_no_acknowledged_commit_is_on_one_machine_alone() -> None:
    kafka = one(build("production"), "Kafka", "kafka")["spec"]["kafka"]["config"]
    assert kafka["min.insync.replicas"] == 2
    assert kafka["unclean.leader.election.enable"] is False
    (cluster,) = of_kind(build("production"), "Cluster")
    assert cluster["spec"]["instances"] == 3
    synchronous = cluster["spec"]["postgresql"]["synchronous"]
    assert (synchronous["number"], synchronous["dataDurability"]) == (1, "required")
