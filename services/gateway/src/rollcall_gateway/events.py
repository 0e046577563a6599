"""/v1/events, and /v1/users/{id}/events"""

from functools import partial

from starlette.responses import Response
from starlette.types import ASGIApp

from rollcall.users.v1 import queries_pb2
from rollcall.users.v1.queries_pb2 import ListEventsRequest, ListEventsResponse
from rollcall_gateway import answers, bodies
from rollcall_gateway.call import Call
from rollcall_gateway.export_forms import FORMS
from rollcall_gateway.exports import PAGE, Export
from rollcall_gateway.gateway import Gateway
from rollcall_gateway.history import Events, event
from rollcall_gateway.moments import moments
from rollcall_gateway.negotiation import preferred
from rollcall_gateway.patches import given
from rollcall_gateway.tokens import question_of


async def timeline(gateway: Gateway, call: Call) -> Response:
    query = call.query(bodies.ListTimeline)
    subject = f"users/{call.id()}"
    return await _page(gateway, call, query, _request(gateway, call, query, subject))


async def trail(gateway: Gateway, call: Call) -> ASGIApp:
    media_type = preferred(call.headers.getlist("accept"), (answers.MEDIA_TYPE, *FORMS))
    if media_type in FORMS:
        return _export(gateway, call, media_type)
    query = call.query(bodies.ListEvents)
    request = _request(gateway, call, query, given(query.subject))
    answer = await _page(gateway, call, query, request)
    answer.headers["Vary"] = "Accept"
    return answer


async def _page(
    gateway: Gateway,
    call: Call,
    query: bodies.ListTimeline | bodies.ListEvents,
    request: ListEventsRequest,
) -> Response:
    question = question_of(f"events {request.subject}", query)
    request.page_size = query.page_size
    request.cursor = gateway.cursor(query.page_token, question)
    listed = await gateway.query(call, gateway.queries.ListEvents, request)
    token = gateway.pages.write(listed.next_cursor, question)
    events = [event(e, listed.topic) for e in listed.events]
    return answers.page(gateway, call, Events(events, token))


def _export(gateway: Gateway, call: Call, media_type: str) -> Export:
    query = call.query(bodies.ExportEvents)
    request = _request(gateway, call, query, given(query.subject))
    request.page_size = PAGE
    headers = {"Vary": "Accept", **gateway.token(call)}
    fetch = partial(_fetch, gateway, call, request)
    return Export(gateway.exports, FORMS[media_type], headers, fetch)


async def _fetch(
    gateway: Gateway, call: Call, request: ListEventsRequest, cursor: bytes
) -> ListEventsResponse:
    request.cursor = cursor
    return await gateway.query(call, gateway.queries.ListEvents, request)


def _request(
    gateway: Gateway, call: Call, query: bodies.EventFilters, subject: str | None
) -> ListEventsRequest:
    return queries_pb2.ListEventsRequest(
        after=gateway.after(call),
        subject=subject,
        type=given(query.type),
        actor=given(query.actor),
        order_by=query.order_by,
        **moments(query, "since", "until"),
    )
