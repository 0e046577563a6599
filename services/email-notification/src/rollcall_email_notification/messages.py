"""From a delivery to a mail: headers and body."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from jinja2.exceptions import TemplateError

from rollcall_email_notification.mailer import Mailer
from rollcall_email_notification.rendering import Rendered, Renderer
from rollcall_service.ledger import Delivery
from rollcall_service.sender import Permanent, Send


def make_send(renderer: Renderer, mailer: Mailer, sender: Address) -> Send:
    """The sender's function: render, compose, hand to the mail server."""

    def send(delivery: Delivery) -> None:
        try:
            rendered = renderer.render(delivery.kind, delivery.payload)
        except (TemplateError, ValueError, TypeError) as error:
            raise Permanent(f"cannot be rendered: {type(error).__name__}") from None
        mailer.send(compose(delivery, rendered, sender))

    return send


def compose(
    delivery: Delivery,
    rendered: Rendered,
    sender: Address,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> EmailMessage:
    """The whole mail. Raises Permanent if the recipient is no address."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipient_address(delivery.recipient)
    message["Subject"] = rendered.subject
    message["Date"] = format_datetime(now())
    message["Message-ID"] = message_id(delivery, sender.domain)
    message["Content-Language"] = rendered.locale
    # RFC 3834: no out-of-office answers to these.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    return message


def recipient_address(value: str) -> Address:
    """A bare address: names are for the body. The domain goes in its ASCII form."""
    try:
        address = Address(addr_spec=value)
        if not address.username or not address.domain:
            raise Permanent("not an address")
        return Address(
            username=address.username, domain=address.domain.encode("idna").decode("ascii")
        )
    except (ValueError, IndexError, MessageError):  # defects and UnicodeErrors are ValueErrors
        raise Permanent("not an address") from None


def message_id(delivery: Delivery, domain: str) -> str:
    """The same for every copy of a mail, and another for each mail of an event."""
    parts = (delivery.event_key, delivery.event_id, delivery.kind, delivery.recipient)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return f"<{delivery.event_id}.{digest}@{domain}>"
