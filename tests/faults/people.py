"""What the clients of the load know of users and roles: enough to fight over them."""

import random
from dataclasses import dataclass, field

_CONTENDED = 6  # values that everybody wants at a time


@dataclass
class Known:
    """version: last told. own: nobody else ever takes its e-mail or name."""

    id: str
    value: str
    version: int
    own: bool


@dataclass
class People:
    """era: raised now and then, so that a value whose holder nobody knows is left behind.
    abandoned: there will be no answers any more."""

    users: dict[str, Known] = field(default_factory=dict)
    roles: dict[str, Known] = field(default_factory=dict)
    era: int = 0
    abandoned: bool = False

    def contended(self, rng: random.Random, pattern: str) -> str:
        return pattern.format(f"wanted-{self.era}-{rng.randrange(_CONTENDED)}")

    def user(self, rng: random.Random) -> Known:
        return self.users[rng.choice(list(self.users))]

    def role(self, rng: random.Random) -> Known:
        return self.roles[rng.choice(list(self.roles))]
