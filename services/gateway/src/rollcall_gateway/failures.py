"""How a command or a query fails at user-management.

user-management names its refusals in an ErrorInfo (see commands.proto). A failure without one
comes from gRPC: nobody there, too slow, too large, too many at once.
"""

import grpc
from google.rpc import error_details_pb2, status_pb2

Code = grpc.StatusCode

_DOMAIN = "rollcall"
_DETAILS = "grpc-status-details-bin"
_CODES: dict[int, Code] = {code.value[0]: code for code in Code}

# After these nobody knows whether a command that was sent has been carried out.
_IN_DOUBT = {
    Code.UNAVAILABLE,
    Code.DEADLINE_EXCEEDED,
    Code.CANCELLED,
    Code.UNKNOWN,
    Code.INTERNAL,
}
# A message that is too large and a server that has too many calls have the same code; only the
# text tells them apart.
_TOO_LARGE = "larger than max"
OVERLOADED = "OVERLOADED"
# The command was admitted, and is not known to be in the log. With the store away that may be so
# of an earlier attempt of gRPC's, which cannot be looked up.
_PERHAPS_ADMITTED = {"OUTCOME_UNKNOWN", "IN_FLIGHT", "STORE_UNAVAILABLE"}


class Failure(Exception):
    """reason: what user-management calls its refusal, or OVERLOADED; empty for other failures of
    gRPC.
    in_doubt: a command that failed so may have been carried out."""

    def __init__(self, code: Code, status: status_pb2.Status, *, sent: bool = True):
        """sent: as far as is known, somebody was there to take the request."""
        super().__init__(code.name)
        self.code = code
        self.info, self.violations = _details(status)
        self.reason = str(self.info.reason)
        lost = not self.reason and code in _IN_DOUBT and (sent or code is not Code.UNAVAILABLE)
        self.in_doubt = lost or self.reason in _PERHAPS_ADMITTED

    @classmethod
    def of_call(cls, error: grpc.aio.AioRpcError, *, sent: bool = True) -> "Failure":
        for key, value in error.trailing_metadata() or ():
            if key == _DETAILS and isinstance(value, bytes):
                return cls(error.code(), status_pb2.Status.FromString(value), sent=sent)
        failure = cls(error.code(), status_pb2.Status(), sent=sent)
        if failure.code is Code.RESOURCE_EXHAUSTED and _TOO_LARGE not in (error.details() or ""):
            failure.reason = OVERLOADED
        return failure

    @classmethod
    def of_outcome(cls, encoded: bytes) -> "Failure":
        """Of one command of many: a google.rpc.Status."""
        status = status_pb2.Status.FromString(encoded)
        return cls(_CODES.get(status.code, Code.UNKNOWN), status)


def _details(
    status: status_pb2.Status,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest]:
    info, violations = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for packed in status.details:
        if packed.Is(info.DESCRIPTOR):
            packed.Unpack(info)
        elif packed.Is(violations.DESCRIPTOR):
            packed.Unpack(violations)
    # INTERNAL says no more than the code: user-management did not expect it either.
    known = info.domain == _DOMAIN and info.reason != "INTERNAL"
    return (info if known else error_details_pb2.ErrorInfo()), violations
