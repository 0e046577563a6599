import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from races.history import Kind, Operation
from races.linearizability import violations
from races.register import Simulation, linearizable

Rng = random.Random
History = list[Operation]
Mutation = Callable[[Rng, History], History]

RANDOMS = st.integers(0, 2**64).map(Rng)


@settings(max_examples=200)
@given(RANDOMS, st.integers(1, 6), st.integers(1, 150), st.booleans())
def test_whatever_a_correct_user_answers_is_accepted(
    rng: Rng, clients: int, steps: int, losses: bool
) -> None:
    history = Simulation(rng, clients, losses).run(steps)
    assert violations(history) == []


# --- against a search through all orders ------------------------------------------------------


def _tweaked(rng: Rng, history: History) -> History:
    """One answer, or one time, a little different, wherever that may be."""
    index = rng.randrange(len(history))
    o = history[index]
    changes: list[dict[str, object]] = [{"responded": None}]
    if o.responded is not None:
        changes.append({"invoked": o.invoked + 5, "responded": o.responded + 5})
    if o.version is not None:
        changes.append({"version": max(1, o.version + rng.choice([-1, 1]))})
    if o.kind in (Kind.PATCH, Kind.DELETE):
        changes.append({"if_match": rng.choice([None, 1, 2, 3])})
    if o.asked is not None:
        changes.append({"asked": "value 1"})
    if o.seen is not None:
        changes.append({"seen": "value 2"})
    if o.kind is Kind.GET:
        changes.append({"token_version": rng.randint(0, 3)})
    if o.status == 404:
        changes.append({"deleted": not o.deleted})
    tweaked = replace(o, **rng.choice(changes))  # type: ignore[arg-type]
    return [*history[:index], *([] if rng.random() < 0.2 else [tweaked]), *history[index + 1 :]]


def _short(rng: Rng, steps: int) -> History:
    """A history of few operations, more or less right."""
    history = Simulation(rng, 3, losses=True).run(steps)[-7:]
    for _ in range(rng.randint(0, 3) if history else 0):
        history = _tweaked(rng, history) if history else history
    return history


@settings(max_examples=1000)
@given(RANDOMS, st.integers(1, 25))
def test_it_decides_as_a_search_through_all_orders_does(rng: Rng, steps: int) -> None:
    history = _short(rng, steps)
    assert (violations(history) == []) == linearizable(history)


@settings(max_examples=300)
@given(RANDOMS, st.integers(1, 25))
def test_a_412_that_tells_no_version_is_not_refused_wrongly(rng: Rng, steps: int) -> None:
    history = [replace(o, version=None) if o.status == 412 else o for o in _short(rng, steps)]
    assert violations(history) == [] or not linearizable(history)


# --- broken histories ------------------------------------------------------------------------


def _one(rng: Rng, history: History, wanted: Callable[[Operation], bool]) -> Operation:
    found = [o for o in history if wanted(o)]
    assume(found)
    return rng.choice(found)


def _with(history: History, old: Operation, **changes: object) -> History:
    return [replace(o, **changes) if o is old else o for o in history]  # type: ignore[arg-type]


def _is_write(o: Operation) -> bool:
    return o.kind is not Kind.GET and o.succeeded and (o.kind is not Kind.PATCH or bool(o.asked))


def _before(a: Operation, b: Operation) -> bool:
    return a.responded is not None and a.responded < b.invoked


def _two_writes(rng: Rng, history: History) -> tuple[Operation, Operation]:
    """The first was answered before the second was invoked, which asks for something else."""
    writes = [o for o in history if _is_write(o)]
    pairs = [(a, b) for a in writes for b in writes if _before(a, b) and a.asked != b.asked]
    assume(pairs)
    return rng.choice(pairs)


def _swap_versions(rng: Rng, history: History) -> History:
    a, b = _two_writes(rng, history)
    return _with(_with(history, a, version=b.version), b, version=a.version)


def _duplicate_a_version(rng: Rng, history: History) -> History:
    a, b = _two_writes(rng, history)
    return _with(history, b, version=a.version)


def _drop_a_write(rng: Rng, history: History) -> History:
    newest = max(o.version or 0 for o in history)
    lost = _one(rng, history, lambda o: _is_write(o) and o.version != newest)
    # A patch of the same, which found it done, would now be the one that did it.
    return [o for o in history if o is not lost and (o.asked != lost.asked or o.asked is None)]


def _read_goes_back(rng: Rng, history: History) -> History:
    read = _one(rng, history, lambda o: o.kind is Kind.GET and o.token_version > 0)
    return _with(history, read, status=200, deleted=False, version=read.token_version - 1)


def _read_finds_nobody(rng: Rng, history: History) -> History:
    read = _one(rng, history, lambda o: o.kind is Kind.GET and o.token_version > 0)
    return _with(history, read, status=404, deleted=False, version=None, seen=None)


def _read_shows_another_value(rng: Rng, history: History) -> History:
    read = _one(rng, history, lambda o: o.kind is Kind.GET and o.status == 200)
    return _with(history, read, seen="what nobody asked for")


def _read_from_the_future(rng: Rng, history: History) -> History:
    read = _one(rng, history, lambda o: o.kind is Kind.GET and o.status == 200)
    write = _one(rng, history, lambda o: _is_write(o) and _before(read, o))
    assume([o.asked for o in history].count(write.asked) == 1)
    return _with(history, read, version=write.version, seen=write.asked)


def _stale_write_succeeds(rng: Rng, history: History) -> History:
    write = _one(rng, history, lambda o: o.kind is Kind.PATCH and _is_write(o))
    assert write.version is not None
    return _with(history, write, if_match=write.version - 1 - rng.randint(1, 3))


def _refused_without_a_reason(rng: Rng, history: History) -> History:
    refused = _one(rng, history, lambda o: o.status == 412)
    return _with(history, refused, if_match=refused.version)


def _refused_without_a_reason_or_a_version(rng: Rng, history: History) -> History:
    assume(not any(o.kind is Kind.DELETE for o in history))
    newest = max(o.version or 0 for o in history)
    assume(newest > 0)
    end = max(o.responded or 0 for o in history)
    late = Operation("late", Kind.PATCH, "u", end + 1, end + 2, 412, if_match=newest, asked="x")
    return [*history, late]


def _against_real_time(rng: Rng, history: History) -> History:
    """A write happens after the answer to the one that followed it."""
    a, _ = _two_writes(rng, history)
    end = max(o.responded or o.invoked for o in history)
    return _with(history, a, invoked=end + 1, responded=end + 2)


def _gone_without_a_deletion(rng: Rng, history: History) -> History:
    assume(not any(o.kind is Kind.DELETE for o in history))
    patch = _one(rng, history, lambda o: o.kind is Kind.PATCH and o.status == 200)
    return _with(history, patch, status=404, deleted=True, version=None, seen=None)


def _changed_after_the_deletion(rng: Rng, history: History) -> History:
    gone = _one(rng, history, lambda o: o.kind is Kind.DELETE and o.succeeded)
    assert gone.version is not None
    end = max(o.responded or o.invoked for o in history)
    late = Operation("late", Kind.PATCH, "u", end + 1, end + 2, 200, gone.version + 1, asked="x")
    return [*history, late]


def _no_version(rng: Rng, history: History) -> History:
    return _with(history, _one(rng, history, _is_write), version=None)


BROKEN: list[Mutation] = [
    _swap_versions,
    _duplicate_a_version,
    _drop_a_write,
    _read_goes_back,
    _read_finds_nobody,
    _read_shows_another_value,
    _read_from_the_future,
    _stale_write_succeeds,
    _refused_without_a_reason,
    _refused_without_a_reason_or_a_version,
    _against_real_time,
    _gone_without_a_deletion,
    _changed_after_the_deletion,
    _no_version,
]


@pytest.mark.parametrize("mutation", BROKEN, ids=lambda m: m.__name__.strip("_"))
@settings(max_examples=50)
@given(RANDOMS, st.integers(2, 5), st.integers(60, 200))
def test_a_broken_history_is_rejected(
    mutation: Mutation, rng: Rng, clients: int, steps: int
) -> None:
    history = Simulation(rng, clients, losses=False).run(steps)
    assert violations(history) == []
    assert violations(mutation(rng, history)) != []
