"""A command on its way through a lane, and what is seen of it there."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum
from typing import Any

from opentelemetry.trace import Span, SpanKind

from rollcall_events import Recorded, tracing
from rollcall_user_management.commands.judging import question_of


class Stage(Enum):
    WAITING = "in the queue, or read; nothing is stored"
    ABANDONED = "nobody waits for it any more, and nothing will be stored"
    STORING = "being stored: only the store knows whether it was"
    STORED = "stored, and on its way to the log"


class Spans:
    """Of an attempt at a command that is traced, below the command's own span: `admission`, from
    the queue to the commit, and `send`, from the event to the broker's acknowledgement."""

    def __init__(self, command: Any, admission: Span):
        """command: the attempt's own copy; the event carries what stands in its context."""
        self._context = command.context
        self._above = (self._context.traceparent, self._context.tracestate)
        self._admission = admission
        self._send: Span | None = None

    def judging(self, topic: str) -> None:
        """Before an event may be made. One that is not stored leaves no span."""
        self._send = tracing.sending(topic, *self._above)
        if self._send is not None:
            self._context.traceparent, self._context.tracestate = tracing.carried(self._send)

    def stored(self, group: int) -> None:
        """The event is, in a group of so many commands."""
        self._admission.set_attribute("rollcall.admission.group_size", group)
        self._admission.end()
        if self._send is not None:
            self._send.add_event("admitted")

    def appending(self, event_id: str, append: Callable[[], Future[Recorded]]) -> Future[Recorded]:
        return tracing.appending(self._send, event_id, append)

    def end(self) -> None:
        """The attempt is over, whatever came of it."""
        if self._admission.is_recording():
            self._admission.end()


class Ticket:
    """A command on its way. Its future, of whoever waits, always has a result: Acknowledged, a
    Verdict that is no Admission, or the exception that came in the way. spans: None where nobody
    traces it."""

    def __init__(self, command: Any, future: asyncio.Future[Any]):
        self.command, self.spans = _traced(command)
        self.question = question_of(command)
        self.future = future
        self.stage = Stage.WAITING
        self._lock = threading.Lock()

    def abandon(self) -> bool:
        """Whether it could be called back: nothing of it will be stored."""
        with self._lock:
            if self.stage is Stage.WAITING:
                self.stage = Stage.ABANDONED
            return self.stage is Stage.ABANDONED

    def begin_storing(self) -> bool:
        """Whether somebody still waits for it."""
        with self._lock:
            if self.stage is Stage.WAITING:
                self.stage = Stage.STORING
            return self.stage is Stage.STORING


def _traced(command: Any) -> tuple[Any, Spans | None]:
    context = command.context
    above = (context.traceparent, context.tracestate)
    admission = tracing.child_of(*above, "admission", SpanKind.INTERNAL, {})
    if admission is None:
        return command, None
    own = type(command)()
    own.CopyFrom(command)
    return own, Spans(own, admission)
