"""The races of `make races`, for a moment each."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from e2e.local_platform import Platform
from races import conditional, create_again, in_a_row, mixed, one_key, same_email
from races.client import Api
from races.report import Progress, Result

from rollcall_local.ports import HOST


@pytest.fixture
def target(platform: Platform, token: str) -> Api:
    return Api(platform.url, token)


def _quiet() -> Progress:
    return Progress("", quiet=True)


def _require(race: Coroutine[Any, Any, Result]) -> None:
    result = asyncio.run(race)
    assert list(result.violations) == [], str(result)


def test_one_of_many_gets_an_email(target: Api) -> None:
    _require(same_email.run(target, 15, _quiet()))


def test_an_email_is_free_at_once_after_a_deletion(target: Api) -> None:
    _require(create_again.run(target, 10, _quiet()))


def test_a_version_has_one_winner(target: Api) -> None:
    _require(conditional.run(target, 15, _quiet()))


def test_versions_told_in_a_row_are_consecutive(target: Api) -> None:
    _require(in_a_row.run(target, 30, _quiet()))


def test_one_key_makes_one_event_and_one_answer(
    target: Api, platform: Platform, broker: str
) -> None:
    first = platform.ports["USER_MANAGEMENT_PORT"]
    replicas = [f"{HOST}:{first + number}" for number in range(3)]
    _require(one_key.run(target, replicas, broker, 5, _quiet()))


def test_any_history_is_linearizable(target: Api) -> None:
    _require(mixed.run(target, 400, _quiet(), seed="1"))
