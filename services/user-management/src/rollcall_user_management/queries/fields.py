"""The form of queries."""

MAX_PAGE = 200
DEFAULT_PAGE = 50


class InvalidField(Exception):
    """A field of the question is malformed."""

    def __init__(self, field: str, problem: str):
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


def page_size(asked: int, most: int = MAX_PAGE) -> int:
    if asked == 0:
        return DEFAULT_PAGE
    if not 1 <= asked <= most:
        raise InvalidField("page_size", f"must be from 1 to {most}")
    return asked
