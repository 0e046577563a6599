"""What Prometheus sees: rate, errors and duration by route template, and what is in flight."""

from prometheus_client import Counter, Gauge, Histogram

UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_DURATION = Histogram(
    "rollcall_gateway_request_duration_seconds",
    "From a request's head to the end of its answer.",
    ["method", "route", "status"],
    buckets=_BUCKETS,
)
IN_FLIGHT = Gauge("rollcall_gateway_requests_in_flight", "Requests being worked on.")
_RPC_FAILURES = Counter(
    "rollcall_gateway_rpc_failures_total",
    "RPCs that user-management refused or that failed on the way, after their retries.",
    ["code", "reason"],
)


def known(method: str) -> str:
    """The method, if it is one of HTTP's."""
    return method if method in _METHODS else "OTHER"


def request_done(method: str, route: str, status: int, seconds: float) -> None:
    _DURATION.labels(known(method), route, str(status)).observe(seconds)


def rpc_failed(code: str, reason: str) -> None:
    _RPC_FAILURES.labels(code, reason).inc()
