"""From a delivery to a Slack message."""

from rollcall_service.ledger import Delivery
from rollcall_service.sender import Permanent, Send
from rollcall_slack_notification.blocks import render
from rollcall_slack_notification.client import Poster


def make_send(poster: Poster) -> Send:
    """The sender's function: render and post."""

    def send(delivery: Delivery) -> None:
        try:
            rendered = render(delivery.kind, delivery.payload)
        except (KeyError, TypeError, ValueError) as error:
            raise Permanent(f"cannot be rendered: {type(error).__name__}") from None
        poster.post(delivery.recipient, rendered.text, rendered.blocks, metadata(delivery))

    return send


def metadata(delivery: Delivery) -> dict[str, object]:
    """What tells a copy from a new message, for whoever looks."""
    payload = {"event_id": delivery.event_id, "key": delivery.event_key}
    return {"event_type": f"rollcall_{delivery.kind}", "event_payload": payload}
