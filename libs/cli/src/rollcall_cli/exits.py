"""Exit codes of the rollcall command."""

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3  # no platform answers
