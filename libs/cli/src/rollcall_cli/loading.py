"""From a file or a seed into the log: checked first, appended then."""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache

from rollcall_cli import broker, exits
from rollcall_cli.appending import Appending, GivenUp
from rollcall_cli.ask_roles import by_id_and_name
from rollcall_cli.importing import Import
from rollcall_cli.output import Output
from rollcall_cli.progress import bar
from rollcall_cli.synthetic import ROLES, Synthetic
from rollcall_cli.users_file import TOPIC, Problem, UsersFile
from rollcall_events import Publisher, TopicUnavailable, UnpublishedEvent
from rollcall_events.topic import ensure_topic
from rollcall_local.client import NotRunning
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home

_EACH = 10  # events for each synthetic user, unless it is said how many there are
_SHOWN = 100  # problems of a file, which may have one in every line
_STEP = 250  # how many are done between two changes of the bar
_BROKER_WITHIN = 10.0  # seconds
_AGAIN = "Repeat the same command to go on: nothing is done twice."


@dataclass(frozen=True)
class Plan:
    """What is to be appended. events: makes them, in order per key."""

    of: Import
    users: int
    count: int
    events: Callable[[], Iterator[UnpublishedEvent]]


def load_file(home: Home, options: argparse.Namespace, output: Output) -> int:
    """Raises NotRunning, PlatformError."""
    of = Import(options.label)
    file = UsersFile(options.file, of, cache(lambda: by_id_and_name(home)))
    try:
        plan, problems = _checked(file, of, output)
    except OSError as error:
        raise PlatformError(f"{options.file}: {error.strerror}") from None
    if problems:
        _tell(options, problems, output)
        return exits.FAILED
    return _load(home, plan, output, dry_run=options.dry_run)


def load_synthetic(home: Home, options: argparse.Namespace, output: Output) -> int:
    """Raises NotRunning, PlatformError."""
    users, least = options.synthetic, options.synthetic + len(ROLES)
    count = options.events or max(users * _EACH, least)
    if count < least:
        output.error(
            f"--events must be at least {least:,}: a creation of each user and {len(ROLES)} roles"
        )
        return exits.USAGE
    of = Import(options.label or "synthetic")
    events = Synthetic(of, users, count, options.seed or 1).events
    return _load(home, Plan(of, users, count, events), output, dry_run=options.dry_run)


def _checked(file: UsersFile, of: Import, output: Output) -> tuple[Plan, list[Problem]]:
    """Raises OSError, NotRunning, PlatformError."""
    problems, users, roles = [], 0, 0
    with bar(output, "checking", file.path.stat().st_size, "bytes") as progress:
        for number, found in enumerate(file.check()):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                users += 1
                roles += len(found.roles)
            if number % _STEP == 0:
                progress(file.read)
    return Plan(of, users, users + roles, file.events), problems


def _tell(options: argparse.Namespace, problems: list[Problem], output: Output) -> None:
    shown, count = problems[:_SHOWN], len(problems)
    if output.json:
        output.result({"problems": [asdict(p) for p in shown], "problem_count": count})
    else:
        for problem in shown:
            output.notes.print(f"{options.file}:{problem.line}: {problem}", markup=False)
    more = f" ({_SHOWN} are shown)" if count > _SHOWN else ""
    found = "1 problem" if count == 1 else f"{count:,} problems"
    output.error(f"{found} in {options.file}{more}: nothing was loaded")


def _load(home: Home, plan: Plan, output: Output, *, dry_run: bool) -> int:
    began = time.monotonic()
    if not dry_run:
        _append(home, plan, output)
    seconds = time.monotonic() - began
    document = {
        "label": plan.of.label,
        "source": plan.of.source,
        "users": plan.users,
        "events": plan.count,
        "dry_run": dry_run,
    }
    what = f"{plan.count:,} events of {plan.users:,} users as {plan.of.source}"
    if dry_run:
        output.result(document, f"{what} would be loaded.")
        return exits.OK
    rate = plan.count / seconds
    document |= {"seconds": round(seconds, 3), "events_per_second": round(rate)}
    output.result(document, f"{what} loaded in {seconds:.1f} s, {rate:,.0f} a second.")
    return exits.OK


def _append(home: Home, plan: Plan, output: Output) -> None:
    """Raises NotRunning, PlatformError."""
    settings = broker.settings(home)
    try:
        ensure_topic(settings, TOPIC, deadline=_BROKER_WITHIN)
    except TopicUnavailable as error:
        raise NotRunning(str(error)) from None
    publisher = Publisher(settings, TOPIC, plan.of.source)
    publisher.start()
    try:
        _append_all(publisher, plan, output)
    finally:
        publisher.stop()


def _append_all(publisher: Publisher, plan: Plan, output: Output) -> None:
    appending = Appending(publisher)
    try:
        with bar(output, "loading", plan.count, "events") as progress:
            for number, event in enumerate(plan.events()):
                appending.append(publisher.record(event))
                if number % _STEP == 0:
                    progress(appending.acknowledged)
            appending.finish()
    except (GivenUp, ValueError, OSError) as error:
        there = f"{appending.acknowledged:,} of {plan.count:,} events are in the log"
        raise PlatformError(f"{error}; {there}. {_AGAIN}") from error
    except KeyboardInterrupt:
        output.error(_AGAIN)
        raise
