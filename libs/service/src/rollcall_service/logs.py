"""JSON logs, one object a line, on standard error; inside a span with its ids.

Nothing personal or secret is in a line: callers log ids, positions and types. Of an exception
only its type and the places it passed are written, never its message, which may quote values
(a unique violation names the e-mail, for one).
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

from opentelemetry import trace

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """`extra` fields of a log call become members of the object."""

    def __init__(self, service: str, replica_id: str):
        super().__init__()
        self._base = {"service": service, "replica": replica_id}

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            **self._base,
            "logger": record.name,
            "message": record.getMessage(),
            **_span_ids(),
            **{k: v for k, v in vars(record).items() if k not in _STANDARD},
        }
        if record.exc_info and record.exc_info[1]:
            line["error"] = describe(record.exc_info[1])
        return json.dumps(line, default=str, ensure_ascii=False)


def _span_ids() -> dict[str, str]:
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": trace.format_trace_id(context.trace_id),
        "span_id": trace.format_span_id(context.span_id),
    }


def describe(error: BaseException) -> dict[str, object]:
    """An exception without its message: its type, its cause's type and where it passed."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    cause = error.__cause__ or error.__context__
    return {
        "type": type(error).__name__,
        "cause": type(cause).__name__ if cause else None,
        "at": [f"{f.filename.rsplit('/', 2)[-1]}:{f.lineno} {f.name}" for f in frames],
    }


def configure_logging(service: str, replica_id: str, level: str = "INFO") -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, replica_id))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for quoting in ("opentelemetry.trace", "opentelemetry.util"):  # what they cannot read
        logging.getLogger(quoting).setLevel(logging.CRITICAL)
