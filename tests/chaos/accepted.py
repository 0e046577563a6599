"""How a provider answers, and what it took in."""

import random
from dataclasses import dataclass, field
from enum import Enum

LATE = 1.0  # seconds until a SLOW answer


class Answer(Enum):
    """FINE and SLOW are said of what was accepted, SLOW a second later. An answer that does not
    come leaves open whether the message went out: half of them did."""

    FINE = "accepts"
    SLOW = "accepts, and says so late"
    LATER = "4xx or 429"
    NEVER = "5xx to the message"
    BROKEN = "500"
    HANGS = "does not answer"
    DISCONNECTS = "disconnects"


@dataclass(frozen=True)
class Accepted:
    """A message that the provider has. message: its identity. told: whether the sender heard."""

    message: str
    told: bool


@dataclass
class Script:
    """answers: from now on. accepted, refused: in order; refused are those answered NEVER."""

    answers: Answer = Answer.FINE
    accepted: list[Accepted] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(1))

    def meet(self, message: str) -> Answer:
        """What becomes of a message that has come whole."""
        answer = self.answers
        silent = answer in (Answer.BROKEN, Answer.HANGS, Answer.DISCONNECTS)
        if answer is Answer.NEVER:
            self.refused.append(message)
        elif answer in (Answer.FINE, Answer.SLOW) or (silent and self.rng.random() < 0.5):
            self.accepted.append(Accepted(message, told=not silent))
        return answer
