"""A mail server that hangs for some recipients, for ten minutes, while users go on changing.

Run: python -m hanging --minutes 10 (make hanging). Before, while and after it hangs, users with
addresses of a domain that hangs and users with other addresses are created and renamed. Prints how
long the others' mails took and how far the consumers were behind, then waits until everything is
sent, and checks that each recipient had their mails in order. Exits 1 if one did not.
"""

import argparse
import asyncio
import itertools
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from aiosmtpd.smtp import SMTP, Envelope, Session
from e2e.local_platform import Platform
from e2e.people import create, seen
from e2e.waiting import eventually

from rollcall_local import credentials, tokens
from rollcall_local.home import Home
from rollcall_local.ports import HOST, free_port

DOMAIN = "hangs.example"
EVERY = 4  # the number of users of which one is of the domain
PAUSE = 0.25  # seconds between two users: eight mails a second
BEFORE, AFTER = 20.0, 20.0  # seconds
SENT_WITHIN = 420.0  # seconds after it hangs no more: an attempt is five minutes away at most
WAITS = threading.Event()  # never set


@dataclass
class MailServer:
    """accepted: recipient → when and with which subject, in order."""

    accepted: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    hangs: bool = False

    async def handle_DATA(  # noqa: N802  (aiosmtpd names it)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        (recipient,) = envelope.rcpt_tos
        if self.hangs and recipient.endswith(DOMAIN):
            await asyncio.Event().wait()  # until the client has enough, which cancels this
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        said = (time.monotonic(), str(message["Subject"]))
        self.accepted.setdefault(recipient, []).append(said)
        return "250 OK"

    @contextmanager
    def listening(self, port: int) -> Iterator[None]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        opening = loop.create_server(lambda: SMTP(self, loop=loop), HOST, port)
        opened = asyncio.run_coroutine_threadsafe(opening, loop).result(10)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(opened.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)


@dataclass(frozen=True)
class Made:
    """A user that was created and renamed: two mails, in this order."""

    email: str
    at: float

    @property
    def hangs(self) -> bool:
        return self.email.endswith(DOMAIN)


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server, port = MailServer(), free_port()
    with tempfile.TemporaryDirectory(prefix="rollcall-hanging-") as folder, server.listening(port):
        home = Home(Path(folder) / "state")
        platform = Platform(home.root)
        platform.variables["SMTP_URL"] = f"smtp://{HOST}:{port}"
        try:
            platform.run("up")
            secret = credentials.load_or_create(home, ()).token_secret
            token = tokens.mint(secret, "services/hanging")
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=platform.url, headers=headers, timeout=10) as api:
                return _run(platform, api, server, 60 * options.minutes)
        except KeyboardInterrupt:
            return 130
        finally:
            platform.run("clean")


def _run(platform: Platform, api: httpx.Client, server: MailServer, seconds: float) -> int:
    made: list[Made] = []
    lags: list[int] = []
    for name, lasts in {"before": BEFORE, "while it hangs": seconds, "after": AFTER}.items():
        server.hangs = name == "while it hangs"
        begun = time.monotonic()
        some = list(_people(platform, api, begun + lasts, lags))
        made += some
        others = [user for user in some if not user.hangs]
        eventually(lambda others=others: _arrived(server, others), within=60)  # type: ignore[misc]
        _say(f"{name}: {len(some)} users, of others' mails {_delays(server, others)}")
        _say(f"{name}: the consumers were {max(lags)} records behind at most")
        lags.clear()
    ended = time.monotonic()
    eventually(lambda: _arrived(server, made), within=SENT_WITHIN)
    _say(f"all is sent {time.monotonic() - ended:.0f} s after its end")
    wrong = [user.email for user in made if not _in_order(server, user)]
    repeated = sum(len(server.accepted[user.email]) > 2 for user in made)
    _say(f"{len(made)} recipients: {len(wrong)} not in order, {repeated} with a mail repeated")
    return 1 if wrong else 0


def _people(platform: Platform, api: httpx.Client, end: float, lags: list[int]) -> Iterator[Made]:
    for number in itertools.count():
        if time.monotonic() > end:
            return
        changed: dict[str, Any] = {}
        if number % EVERY == 0:
            changed = {"email": f"user{time.monotonic_ns()}@{DOMAIN}"}
        began = time.monotonic()
        answer = create(api, "ada", **changed)
        user = answer.json()
        renamed = api.patch(
            f"/v1/users/{user['id']}", json={"name": "Renamed"}, headers=seen(answer)
        )
        renamed.raise_for_status()
        yield Made(user["email"], began)
        if number % 40 == 0:
            lags.append(_behind(platform))
            _say(f"{max(0.0, end - time.monotonic()):.0f} s left")
        WAITS.wait(PAUSE)


def _behind(platform: Platform) -> int:
    services = platform.status()["services"]
    return max(r["lag_records"] or 0 for service in services for r in service["replicas"])


def _arrived(server: MailServer, made: Sequence[Made]) -> bool:
    return all(len(server.accepted.get(user.email, ())) >= 2 for user in made)


def _delays(server: MailServer, made: Sequence[Made]) -> str:
    """Of the welcome mails, from the request."""
    delays = sorted(server.accepted[user.email][0][0] - user.at for user in made)
    return f"the median took {1000 * median(delays):.0f} ms, the longest {delays[-1]:.2f} s"


def _in_order(server: MailServer, user: Made) -> bool:
    """The welcome first, however often each came."""
    subjects = [subject for _, subject in server.accepted[user.email]]
    return "Welcome" in subjects[0] and "Welcome" not in subjects[-1]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="that it hangs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
