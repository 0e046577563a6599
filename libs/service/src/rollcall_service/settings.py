"""Settings come from environment variables only, and a wrong one says what to do."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path


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

    def secret(self, name: str, hint: str = "") -> str:
        """The variable's value, or what the file holds that `<name>_FILE` names; one of the two."""
        file = self.optional(f"{name}_FILE")
        if not file:
            return self.required(name, hint)
        if self.optional(name):
            raise SettingsError(f"set one of {name} and {name}_FILE")
        try:
            value = Path(file).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            cause = type(error).__name__
            raise SettingsError(f"{name}_FILE names what can't be read: {cause}") from None
        if not value:
            raise SettingsError(f"{name}_FILE is an empty file")
        return value

    def replica_id(self, service: str) -> str:
        """REPLICA_ID, or a name that no other replica has, on this machine or another."""
        return self.text("REPLICA_ID", f"{service}-{socket.gethostname()}-{os.getpid()}")

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
