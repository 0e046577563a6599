"""The form of queries."""

MAX_PAGE = 200
DEFAULT_PAGE = 50


class InvalidField(Exception):
    """A field of the question is malformed."""

    def __init__(self, field: str, problem: str):
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


def page_size(asked: int) -> int:
    if asked == 0:
        return DEFAULT_PAGE
    if not 1 <= asked <= MAX_PAGE:
        raise InvalidField("page_size", f"must be from 1 to {MAX_PAGE}")
    return asked
