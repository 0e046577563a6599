"""From a delivery to a mail: headers and body."""

import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import idna
from jinja2.exceptions import TemplateError

from rollcall_email_notification.mailer import Mailer
from rollcall_email_notification.rendering import Rendered, Renderer
from rollcall_service.ledger import Delivery
from rollcall_service.sender import Permanent, Send

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


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
    # RFC 3834: no out-of-office answers to these.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(rendered.text)
    message.add_alternative(rendered.html, subtype="html")
    # Last, because every other Content- header goes to the first part.
    message["Content-Language"] = rendered.locale
    return message


def recipient_address(value: str) -> Address:
    """A bare address: names are for the body. The domain goes in its ASCII form, by the rules by
    which addresses are checked (IDNA 2008; the older ones make another's domain of `straße`). The
    part before it may be beyond ASCII (RFC 6531), and then the server decides. Raises Permanent."""
    local, _, domain = value.rpartition("@")
    try:
        # Python's own codec only looks at the length of labels, where all are ASCII.
        encoded = domain.encode("idna") if domain.isascii() else idna.encode(domain, uts46=True)
        ascii_domain = encoded.decode()
        # Its grammar knows ASCII only, so anything beyond stands in as a letter.
        Address(addr_spec=f"{re.sub(_BEYOND_ASCII, 'x', local)}@{ascii_domain}")
    except (ValueError, IndexError, MessageError):  # defects and UnicodeErrors are ValueErrors
        raise Permanent("not an address") from None
    return Address(username=local, domain=ascii_domain)


def message_id(delivery: Delivery, domain: str) -> str:
    """The same for every copy of a mail, and another for each mail of an event."""
    parts = (delivery.event_key, delivery.event_id, delivery.kind, delivery.recipient)
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return f"<{delivery.event_id}.{digest}@{domain}>"
