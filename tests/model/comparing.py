"""What the platform answered, beside what the model says that it must."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from model.platform_model import TIME, Body, Expected
from model.remote import PROBLEM, Answer

_TIMES = ("created_at", "updated_at")


def differences(expected: Expected, answer: Answer) -> list[str]:
    """In words; none where the answer is right."""
    if answer.status != expected.status:
        return [f"status {answer.status} in place of {expected.status}: {answer.body}"]
    if expected.problem:
        return [*_of_etag(expected, answer), *_of_problem(expected, answer)]
    return [*_of_etag(expected, answer), *_of_success(expected, answer)]


def of_bodies(expected: Body, shown: Any) -> list[str]:
    """Field by field; a role's place in a user's list says nothing."""
    if not isinstance(shown, Mapping):
        return [f"{shown} in place of {dict(expected)}"]
    names = sorted(expected.keys() | shown.keys())
    return [
        f"{name}: {shown.get(name, 'nothing')} in place of {expected.get(name, 'nothing')}"
        for name in names
        if not _same(name, expected.get(name, ...), shown.get(name, ...))
    ] + list(_of_times(shown))


def _same(name: str, expected: Any, shown: Any) -> bool:
    if name == "roles" and isinstance(shown, list):
        return bool(expected == sorted(shown, key=lambda role: str(role.get("id"))))
    return (expected == TIME and is_time(shown)) or bool(expected == shown)


def _of_times(shown: Body) -> Iterator[str]:
    times = [shown.get(name) for name in _TIMES]
    if all(map(is_time, times)) and shown["updated_at"] < shown["created_at"]:
        yield f"updated_at {times[1]} before created_at {times[0]}"


def is_time(text: Any) -> bool:
    """RFC 3339 in UTC."""
    try:
        return isinstance(text, str) and text.endswith("Z") and bool(datetime.fromisoformat(text))
    except ValueError:
        return False


def _of_etag(expected: Expected, answer: Answer) -> Iterator[str]:
    etag = f'"{expected.version}"' if expected.version is not None else None
    if answer.headers.get("etag") != etag:
        yield f"ETag {answer.headers.get('etag')} in place of {etag}"


def _of_success(expected: Expected, answer: Answer) -> Iterator[str]:
    if not answer.token:
        yield "no Consistency-Token"
    if expected.body is None:
        if answer.body is not None:
            yield f"a body: {answer.body}"
        return
    yield from of_bodies(expected.body, answer.body)
    if expected.status == 201:
        noun = "roles" if "permissions" in expected.body else "users"
        location = f"/v1/{noun}/{expected.body['id']}"
        if answer.headers.get("location") != location:
            yield f"Location {answer.headers.get('location')} in place of {location}"


def _of_problem(expected: Expected, answer: Answer) -> Iterator[str]:
    problem = answer.body or {}
    if answer.headers.get("content-type") != "application/problem+json":
        yield f"Content-Type {answer.headers.get('content-type')}"
    if problem.get("type") != f"{PROBLEM}{expected.problem}":
        yield f"problem {problem.get('type')} in place of {expected.problem}"
    if problem.get("status") != expected.status:
        yield f"a problem of status {problem.get('status')}"
    fields = {error["field"] for error in problem.get("errors", [])}
    if fields != expected.fields:
        yield f"errors of {sorted(fields)} in place of {sorted(expected.fields)}"
    if is_time(problem.get("deleted_at")) != expected.deleted:
        yield f"deleted_at: {problem.get('deleted_at')}"
