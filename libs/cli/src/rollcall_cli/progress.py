"""A bar with the rate and the time left, for long work."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from rollcall_cli.output import Output


class Advance(Protocol):
    def __call__(self, done: int, total: int | None = None) -> None: ...


@contextmanager
def bar(output: Output, text: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Yields what is told how much is done, and of how much where that is not known before or
    changes. Nothing is shown where no terminal is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        _Rate(unit),
        TimeRemainingColumn(),
    )
    notes = output.notes
    with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as shown:
        task = shown.add_task(text, total=total)

        def advance(done: int, total: int | None = None) -> None:
            shown.update(task, completed=done, total=total)

        yield advance


class _Rate(ProgressColumn):
    def __init__(self, unit: str):
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} {self._unit}/s" if task.speed else "", style="dim")
