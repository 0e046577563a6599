"""What operators do when the trouble is over: run again what is held, discard, retry."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import grpc
from chaos import groups
from chaos.cluster import Cluster
from e2e.waiting import eventually

from rollcall.deliveries.v1 import deliveries_pb2 as deliveries
from rollcall.deliveries.v1.deliveries_pb2_grpc import DeliveryServiceStub
from rollcall.parking.v1 import parking_pb2 as parking
from rollcall.parking.v1.parking_pb2_grpc import ParkingServiceStub
from rollcall_local.services import USERS

_WITHIN = 20.0  # seconds for a call
_PAGE = 500
_RETRY_EVERY = 40  # looks


def mend(cluster: Cluster) -> Iterator[str]:
    """Let the notifiers handle everything, and run what they hold; discard what user-management
    does not know. What is held all the same."""
    for file in cluster.unhandled.iterdir():
        file.unlink()
    for name, group in cluster.groups.items():
        with closing(grpc.insecure_channel(group.replicas[0].operators)) as channel:
            stub = ParkingServiceStub(channel)
            for sequence in list(_sequences(stub)):
                run = _discard(stub, sequence) if name == USERS else _redrive(stub, sequence)
                if run.left:
                    yield f"{name}: {sequence.key}: {run.reason}"


def deliver(cluster: Cluster, within: float, say: Callable[[str], None]) -> list[str]:
    """Let every delivery come to its end, without the rest between attempts. Those that have
    none."""
    looks = itertools.count()
    left: list[str] = []

    def ended() -> bool:
        left[:] = _pending(cluster)
        if left and next(looks) % _RETRY_EVERY == 0:
            say(", ".join(left))
            _retry(cluster)
        return not left

    with suppress(AssertionError):
        eventually(ended, within=within)
    return left


def _pending(cluster: Cluster) -> list[str]:
    found = {name: len(groups.pending(cluster.database_url, name)) for name in groups.NOTIFIERS}
    return [f"{name}: {number} to be delivered" for name, number in found.items() if number]


def _sequences(stub: ParkingServiceStub) -> Iterator[parking.ParkedSequence]:
    after = ""
    while True:
        request = parking.ListParkedRequest(page_size=_PAGE, after_key=after)
        answer = stub.ListParked(request, timeout=_WITHIN)
        yield from answer.sequences
        if not answer.HasField("next_after_key"):
            return
        after = answer.next_after_key


def _redrive(stub: ParkingServiceStub, sequence: parking.ParkedSequence) -> parking.Run:
    request = parking.RedriveParkedRequest(key=sequence.key)
    return stub.RedriveParked(request, timeout=_WITHIN).run


def _discard(stub: ParkingServiceStub, sequence: parking.ParkedSequence) -> parking.Run:
    request = parking.DiscardParkedRequest(
        key=sequence.key,
        partition=sequence.partition,
        offset=sequence.offset,
        reason="of no known type",
    )
    return stub.DiscardParked(request, timeout=_WITHIN).run


def _retry(cluster: Cluster) -> None:
    pending = deliveries.DeliveryFilter(states=[deliveries.DELIVERY_STATE_PENDING])
    for name in groups.NOTIFIERS:
        with closing(grpc.insecure_channel(cluster.groups[name].replicas[0].operators)) as channel:
            stub, after, more = DeliveryServiceStub(channel), 0, True
            while more:
                request = deliveries.RetryDeliveriesRequest(
                    filter=pending, page_size=_PAGE, after_id=after
                )
                answer = stub.RetryDeliveries(request, timeout=_WITHIN)
                after, more = answer.next_after_id, answer.HasField("next_after_id")
