"""When a message that a provider did not accept is tried again."""

from collections.abc import Callable
from dataclasses import dataclass

from rollcall_service.ledger import Delivery


@dataclass(frozen=True)
class Schedule:
    """When to try again, in seconds: exponential with full jitter, and not for ever."""

    first: float = 2.0
    longest: float = 900.0
    give_up: float = 24 * 3600.0  # age at which nothing is tried any more, but by hand

    def delay(
        self, delivery: Delivery, retry_after: float | None, jitter: Callable[[], float]
    ) -> float | None:
        """How long to wait after a failed attempt; None: the next would come too late.

        jitter: a number in [0, 1). A provider's wish is honoured in full, and spread a little so
        that all who were given the same one do not come back at once. An operator's retry begins a
        new age, and the pauses anew.
        """
        doublings = min(delivery.attempts - delivery.attempts_before - 1, 32)
        delay = min(self.longest, self.first * 2**doublings) * jitter()
        if retry_after is not None:
            delay = max(0.0, retry_after) + self.first * jitter()
        return delay if delivery.age + delay < self.give_up else None
