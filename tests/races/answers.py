"""What is wrong with an answer by itself, whatever else happened."""

from collections.abc import Iterator

from races.history import Kind, Operation, Violation


def contradictions(operation: Operation) -> Iterator[Violation]:
    for rule, wrong in _rules(operation):
        if wrong:
            yield Violation(rule, f"user {operation.user}: {operation}", [operation])


def _rules(o: Operation) -> Iterator[tuple[str, bool]]:
    """Each rule that an answer of this kind is under, and whether it breaks it."""
    if o.status == 412:
        yield "412 without If-Match", o.if_match is None
        yield "412 although the version is the expected one", _same(o.version, o.if_match)
        yield "412 of a user who is not there", o.version is not None and o.version < 1
    elif o.kind is Kind.GET:
        yield "no version in the answer", o.status == 200 and o.version is None
        yield "404 in spite of the token", o.status == 404 and not o.deleted and o.token_version > 0
    elif o.succeeded:
        yield "no version in the answer", o.version is None
        if o.version is not None:
            yield from _rules_of_write(o, o.version)


def _rules_of_write(o: Operation, version: int) -> Iterator[tuple[str, bool]]:
    if o.kind is Kind.CREATE:
        yield "a new user has version 1", version != 1
    else:
        written = version - (o.kind is Kind.DELETE)
        yield "written before the creation", written < 1
        if o.if_match is not None:
            unchanged = {o.if_match} if o.kind is Kind.PATCH else set()
            changed = {o.if_match + 1} if o.kind is Kind.DELETE or o.asked is not None else set()
            yield "done in spite of If-Match", o.if_match < 1 or version not in unchanged | changed
    yield "not what was asked for", None not in (o.asked, o.seen) and o.asked != o.seen


def _same(version: int | None, expected: int | None) -> bool:
    return version is not None and version == expected
