"""A loop of POSTs in the background, which remembers every answer."""

import itertools
import threading
import time
from dataclasses import dataclass
from types import TracebackType

import httpx
from e2e.people import new_email

_CLIENTS = 3
_PERIOD = 0.05  # seconds between two requests of a client: a steady trickle, not a load test
_TIMEOUT = 15.0  # seconds; the gateway answers before, whatever is away
_MOST = 20_000  # requests, whatever the test waits for


@dataclass(frozen=True)
class Answer:
    """status: None where the connection broke."""

    email: str
    sent: float  # time.monotonic()
    status: int | None
    media_type: str = ""
    body: str = ""
    id: str = ""

    @property
    def is_plain_unavailability(self) -> bool:
        return self.status == 503 and self.media_type == "application/problem+json"


class Posting:
    """`with Posting(…) as posting:` the loop runs; afterwards every request has its answer.

    transport: that takes the requests elsewhere than to `url`; it is closed at the end.
    """

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None):
        self.answers: list[Answer] = []
        self._stop = threading.Event()
        self._numbers = itertools.count()
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(
            base_url=url, headers=headers, timeout=_TIMEOUT, transport=transport
        )
        self._threads = [threading.Thread(target=self._run) for _ in range(_CLIENTS)]

    def __enter__(self) -> "Posting":
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
        assert not [thread for thread in self._threads if thread.is_alive()]

    def created(self, since: float = 0.0) -> list[Answer]:
        """The 201s to requests sent after a moment of time.monotonic()."""
        return [a for a in list(self.answers) if a.status == 201 and a.sent > since]

    def others(self) -> list[Answer]:
        """All answers but 201s."""
        return [answer for answer in list(self.answers) if answer.status != 201]

    def has_created(self, count: int, since: float = 0.0) -> bool:
        return len(self.created(since)) >= count

    def _run(self) -> None:
        while not self._stop.wait(_PERIOD) and next(self._numbers) < _MOST:
            self.answers.append(self._post(new_email("posted")))

    def _post(self, email: str) -> Answer:
        sent = time.monotonic()
        try:
            answer = self._client.post("/v1/users", json={"email": email, "name": "Posted"})
        except httpx.TransportError as error:
            return Answer(email, sent, None, body=repr(error))
        media_type = answer.headers.get("Content-Type", "")
        id_ = answer.json()["id"] if answer.status_code == 201 else ""
        return Answer(email, sent, answer.status_code, media_type, answer.text, id_)
