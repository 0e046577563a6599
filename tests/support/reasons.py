"""What a consumer gave as the reason when it joined again."""

import pytest


def reasons(caplog: pytest.LogCaptureFixture, beginning: str) -> list[str]:
    """Those of all log lines that begin like that."""
    given = [getattr(record, "reason", "") for record in caplog.records]
    return [reason for reason in given if reason.startswith(beginning)]
