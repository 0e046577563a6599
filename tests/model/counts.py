"""What the runs did."""

from collections import Counter


class Counts:
    def __init__(self) -> None:
        self.runs = self.steps = self.differences = 0
        self._answers: Counter[tuple[str, str]] = Counter()  # kind of request, answer

    def add(self, kind: str, answer: str) -> None:
        self._answers[kind, answer] += 1

    @property
    def requests(self) -> int:
        return sum(self._answers.values())

    def of(self, *words: str) -> int:
        """How many requests had an answer with one of these words."""
        return sum(n for (_, a), n in self._answers.items() if set(a.split()) & set(words))

    def table(self) -> str:
        """A line for each kind of request: how often it got which answer."""
        lines = []
        for kind in sorted({kind for kind, _ in self._answers}):
            answers = sorted((a, n) for (k, a), n in self._answers.items() if k == kind)
            total = sum(n for _, n in answers)
            shown = ", ".join(f"{answer}: {n}" for answer, n in answers)
            lines.append(f"  {kind:<14} {total:>6}   {shown}")
        return "\n".join(lines)
