"""The spans of requests, and what of a trace goes on with their commands."""

import uuid
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.trace import SpanKind, StatusCode
from support.spans import above, id_of, recording
from support.waiting import eventually

from rollcall_gateway.testing import Memory, RefusedError

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01", "tracestate": "a=b"}
COMMAND = "rollcall.users.v1.UserCommandService/CreateUser"


def person() -> dict[str, Any]:
    return {"email": f"ada-{uuid.uuid4().hex}@example.com", "name": "Ada"}


def test_a_command_goes_on_below_its_request(api: httpx.Client, memory: Memory) -> None:
    with recording() as recorded:
        assert api.post("/v1/users", json=person(), headers=SAMPLED).status_code == 201
        eventually(lambda: len(recorded.spans()) == 2)
    request, command = recorded.spans()["POST /v1/users"], recorded.spans()[COMMAND]
    assert (request.kind, command.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert above(request) == f"{TRACE_ID}-{SPAN_ID}"
    assert above(command) == f"{TRACE_ID}-{id_of(request)}"
    (context,) = memory.contexts
    assert context.traceparent == f"00-{TRACE_ID}-{id_of(command)}-01"
    assert context.tracestate == "a=b"


@pytest.mark.parametrize("flags", ["00", "01"])
def test_who_traces_nothing_passes_the_trace_on(
    flags: str, api: httpx.Client, memory: Memory
) -> None:
    headers = SAMPLED | {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-{flags}"}
    assert api.post("/v1/users", json=person(), headers=headers).status_code == 201
    (context,) = memory.contexts
    assert (context.traceparent, context.tracestate) == (headers["traceparent"], "a=b")


@pytest.mark.parametrize("given", ["", "nonsense", f"00-{'0' * 32}-{SPAN_ID}-01"])
def test_without_a_trace_one_begins_that_nobody_samples(
    given: str, api: httpx.Client, memory: Memory
) -> None:
    api.post("/v1/users", json=person(), headers={"traceparent": given})
    (context,) = memory.contexts
    assert len(context.traceparent) == 55
    assert context.traceparent.endswith("-00")


@pytest.mark.parametrize(
    "state",
    ["ada@example.com", "a=b,Ada", "=", "a=b" + ",a=b" * 32, f"a={'b' * 255},c={'d' * 255}"],
)
def test_a_state_that_is_none_is_dropped_and_said_nowhere(
    state: str, api: httpx.Client, memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    with recording():
        api.post("/v1/users", json=person(), headers=SAMPLED | {"tracestate": state})
    (context,) = memory.contexts
    assert (context.traceparent[3:35], context.tracestate) == (TRACE_ID, "")
    assert not caplog.records


def test_an_unsampled_trace_has_no_spans(api: httpx.Client) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-00"}
    with recording() as recorded:
        assert api.get("/v1/users", headers=headers).status_code == 200
        assert api.get("/v1/roles", headers=SAMPLED).status_code == 200
        eventually(recorded.spans)
    assert recorded.spans().keys() == {"GET /v1/roles"}


def test_a_span_has_the_template_and_names_nobody(api: httpx.Client) -> None:
    with recording() as recorded:
        api.get(f"/v1/users/{uuid.uuid4()}", headers=SAMPLED)
        api.get("/v1/users?email=ada@example.com", headers=SAMPLED)
        api.get("/v1/ada@example.com", headers=SAMPLED)
        api.get("/healthz", headers=SAMPLED)
        eventually(lambda: len(recorded.spans()) == 3)
    spans = recorded.spans()
    assert spans.keys() == {"GET /v1/users/{id}", "GET /v1/users", "GET unmatched"}
    for span in spans.values():
        assert "ada" not in span.to_json()
        assert span.status.status_code is StatusCode.UNSET
    assert (spans["GET /v1/users/{id}"].attributes or {})["http.response.status_code"] == 404


def test_a_refused_command_says_why(api: httpx.Client, memory: Memory) -> None:
    body = person()
    api.post("/v1/users", json=body)
    with recording() as recorded:
        assert api.post("/v1/users", json=body, headers=SAMPLED).status_code == 409
        eventually(lambda: len(recorded.spans()) == 2)
    command = recorded.spans()[COMMAND].attributes or {}
    assert command["rpc.response.status_code"] == "ALREADY_EXISTS"
    assert command["error.type"] == "EMAIL_TAKEN"
    assert recorded.spans()["POST /v1/users"].status.status_code is StatusCode.UNSET


def test_a_request_that_we_fail_is_an_error(api: httpx.Client, memory: Memory) -> None:
    memory.faults.append(RefusedError(grpc.StatusCode.DEADLINE_EXCEEDED, "READ_STORE_BEHIND"))
    with recording() as recorded:
        answer = api.get(f"/v1/users/{uuid.uuid4()}", headers=SAMPLED)
        eventually(recorded.spans)
    assert answer.status_code == 504
    span = recorded.spans()["GET /v1/users/{id}"]
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "504"
