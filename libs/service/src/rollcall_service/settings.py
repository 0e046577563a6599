"""Settings come from environment variables only, and a wrong one says what to do."""

from collections.abc import Mapping


class SettingsError(ValueError):
    """A variable is missing or unusable. The message is one line for whoever runs the service."""


class Env:
    """Typed reading of environment variables. An empty variable counts as absent."""

    def __init__(self, variables: Mapping[str, str]):
        self._variables = variables

    def required(self, name: str, hint: str = "") -> str:
        value = self._variables.get(name, "")
        if not value:
            raise SettingsError(f"{name} is not set" + (f": {hint}" if hint else ""))
        return value

    def text(self, name: str, default: str) -> str:
        return self._variables.get(name) or default

    def optional(self, name: str) -> str | None:
        return self._variables.get(name) or None

    def integer(
        self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**31 - 1
    ) -> int:
        value = self._variables.get(name) or str(default)
        try:
            number = int(value)
        except ValueError:
            raise SettingsError(f"{name} must be a whole number, not {value!r}") from None
        if not minimum <= number <= maximum:
            raise SettingsError(f"{name} must be from {minimum} to {maximum}, not {number}")
        return number
