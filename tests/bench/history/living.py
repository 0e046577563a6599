"""What clients notice: reads and commands one after the other, while something else goes on."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

import httpx
from bench import people
from bench.history.questions import Person
from bench.load import percentile

_PAUSE = 0.02  # seconds between two requests: a steady trickle, not a load test
_TIMEOUT = 15.0  # seconds; the gateway answers before, whatever is away


@dataclass
class Noticed:
    """Seconds of right answers, and all others, of one kind of request."""

    taken: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def p99(self) -> float:
        """Milliseconds."""
        return 1000 * percentile(sorted(self.taken), 99)


class Living:
    """`with living:` the loops run; afterwards `reads` and `commands` are whole. Entered again, it
    adds to them."""

    def __init__(self, url: str, token: str, people: Sequence[Person]):
        self.reads, self.commands = Noticed(), Noticed()
        self._people = people
        self._stop = threading.Event()
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self) -> "Living":
        self._stop.clear()
        self._client = httpx.Client(
            base_url=self._url, headers=self._headers, timeout=_TIMEOUT, trust_env=False
        )
        self._threads = [
            threading.Thread(target=self._run, args=(self.reads, self._read)),
            threading.Thread(target=self._run, args=(self.commands, self._command)),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(_TIMEOUT + 5)
        self._client.close()

    def _run(self, noticed: Noticed, ask: Callable[[], httpx.Response]) -> None:
        while not self._stop.wait(_PAUSE):
            began = time.perf_counter()
            try:
                answer = ask()
            except httpx.TransportError as error:
                noticed.errors[type(error).__name__] += 1
                continue
            if answer.is_success:
                noticed.taken.append(time.perf_counter() - began)
            else:
                noticed.errors[f"{answer.status_code} {answer.json().get('type')}"] += 1

    def _read(self) -> httpx.Response:
        """Of somebody, now or shortly before."""
        person = random.choice(self._people)
        if random.random() < 0.5:
            return self._client.get("/v1/users", params={"email": person.email})
        at = person.created.isoformat().replace("+00:00", "Z")
        return self._client.get(f"/v1/users/{person.id}", params={"at": at})

    def _command(self) -> httpx.Response:
        body = {"email": people.fresh_email(), "name": people.NAME}
        return self._client.post("/v1/users", json=body)
