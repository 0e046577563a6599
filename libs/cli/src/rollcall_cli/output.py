"""What the command writes: results on stdout, progress and errors on stderr."""

import json
from typing import Any

from rich.console import Console


class Output:
    """With `json`, stdout carries one JSON document and nothing else."""

    def __init__(self, *, json: bool):
        self.json = json
        self.console = Console(highlight=False, soft_wrap=True)
        self.notes = Console(highlight=False, soft_wrap=True, stderr=True)

    def result(self, document: Any, text: str | None = None) -> None:
        """The result as JSON where that was asked for, else as text."""
        if self.json or text is None:
            self.console.print(json.dumps(document), markup=False)
        else:
            self.console.print(text, markup=False)

    def progress(self, text: str) -> None:
        self.notes.print(text, style="dim", markup=False)

    def error(self, text: str) -> None:
        self.notes.print(f"rollcall: {text}", markup=False)
