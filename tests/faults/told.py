"""A command and what its client was told of it."""

from dataclasses import dataclass

# Problem types that leave open whether the command was carried out.
_IN_DOUBT = ("outcome-unknown", "idempotency-key-in-flight")
_URN = "urn:rollcall:problem:"


@dataclass(slots=True)
class Told:
    """One command, with its repetitions.

    correlation: unique to it, and carried by its event. role: that is assigned or unassigned.
    free: the value it takes belongs to nobody else. status: None where no answer came.
    began, ended: time.monotonic.
    """

    correlation: str
    action: str
    began: float
    target: str = ""
    role: str = ""
    free: bool = False
    ended: float = 0.0
    status: int | None = None
    problem: str = ""
    version: int = 0

    @property
    def acknowledged(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def unknown(self) -> bool:
        return self.status is None or self.problem in _IN_DOUBT

    @property
    def refused(self) -> bool:
        """The client may rely on it that nothing was done."""
        return not self.acknowledged and not self.unknown

    @property
    def may_change_nothing(self) -> bool:
        return self.action in ("assign", "unassign")


def kind_of(problem_type: str) -> str:
    return problem_type.removeprefix(_URN)
