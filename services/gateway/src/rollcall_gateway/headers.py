"""A request's headers, read once."""

from collections.abc import Iterable


class Headers:
    """Names have no case; values are Latin-1, which every byte is."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]):
        """raw: as ASGI gives them, names in lower case."""
        self._values: dict[str, list[str]] = {}
        for name, value in raw:
            self._values.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))

    def get(self, name: str, default: str = "") -> str:
        """The first of that name."""
        found = self._values.get(name.lower())
        return found[0] if found else default

    def getlist(self, name: str) -> list[str]:
        return self._values.get(name.lower(), [])
