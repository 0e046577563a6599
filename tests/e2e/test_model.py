"""Random lives on the running platform, compared with the model (make model-check: many more)."""

from collections.abc import Iterator

import httpx
import pytest
from e2e.local_platform import Platform
from model.check import check, settings_for
from model.counts import Counts
from model.platform_model import Rules, State
from model.remote import Remote, client
from model.run import Difference, Run

RUNS, STEPS, SEED = 12, 25, 1


@pytest.fixture
def http(platform: Platform, token: str) -> Iterator[httpx.Client]:
    with client(platform.url, token) as opened:
        yield opened


def test_the_platform_does_as_the_model_says(http: httpx.Client) -> None:
    counts = Counts()
    check(lambda: Run(Remote(http), Rules(), counts), SEED, settings_for(RUNS, STEPS, shrink=False))
    assert counts.runs >= RUNS
    assert counts.steps > 0.7 * RUNS * STEPS
    for answer in ("404", "409", "412", "422", "unchanged", "repeated"):
        assert counts.of(answer), counts.table()


class DeletionKeepsEmail(Rules):
    def holder_of_email(self, state: State, email: str, but: str) -> str | None:
        others = [u for u in state.users.values() if u.id != but]
        return next((u.id for u in others if u.fields["email"].lower() == email.lower()), None)


def test_a_model_that_says_otherwise_is_contradicted(http: httpx.Client) -> None:
    def start() -> Run:
        return Run(Remote(http), DeletionKeepsEmail(), Counts())

    with pytest.raises(Difference, match="status 201 in place of 409"):
        check(start, SEED, settings_for(RUNS, STEPS, shrink=False))
