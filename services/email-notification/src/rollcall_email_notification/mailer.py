"""Sends one mail over SMTP, and classes what a server answers.

Refusals of this message or recipient (5xx) are permanent. Everything about the server or this
installation (4xx, a lost connection, a login refused or missing, a sender that may not send, no
TLS where a password needs it) is transient: somebody may mend it within the hours that the ledger
retries.

A connection lost after DATA leaves open whether the mail went out. It is sent again under the
same Message-ID, by which mail programs know copies.
"""

import ipaddress
import smtplib
import ssl
from email.headerregistry import AddressHeader
from email.message import EmailMessage

from rollcall_email_notification.connections import Connections
from rollcall_email_notification.settings import Smtp
from rollcall_service.sender import Permanent, Transient

# RFC 4954: what a server says to a client that is not logged in as it wants, at any step.
_NOT_LOGGED_IN = {530, 534, 535, 538}
_TOO_LARGE = 552  # RFC 1870: said to MAIL FROM, which tells the message's size


class Mailer:
    """Component: sends mails, from as many threads as like to.

    deadline: seconds for all that is done for a mail over a connection, however slowly a server
    drips its answers; once this has started. If one that was kept is no good, a mail takes another.
    """

    def __init__(
        self, server: Smtp, *, deadline: float = 30.0, context: ssl.SSLContext | None = None
    ):
        self._server = server
        self._context = context or ssl.create_default_context()
        self._connections = Connections(server, self._greet, self._context, deadline)

    def start(self) -> None:
        self._connections.start()

    def stop(self) -> None:
        """To be called once nothing is sent any more."""
        self._connections.stop()

    def send(self, message: EmailMessage) -> None:
        """Return once the server has taken responsibility. Raises Permanent or Transient."""
        # Named, lest they be parsed out of the headers a second time.
        sender, recipients = _bare(message["From"]), [_bare(message["To"])]

        def exchange(smtp: smtplib.SMTP) -> None:
            smtp.send_message(message, sender, recipients)

        try:
            self._connections.use(exchange)
        except smtplib.SMTPRecipientsRefused as error:
            code, _ = next(iter(error.recipients.values()))
            raise _classed("recipient refused", code) from None
        except smtplib.SMTPSenderRefused as error:
            reason = f"sender refused {error.smtp_code}"
            too_large = error.smtp_code == _TOO_LARGE
            raise (Permanent(reason) if too_large else Transient(reason)) from None
        except smtplib.SMTPDataError as error:
            raise _classed("message refused", error.smtp_code) from None
        except smtplib.SMTPNotSupportedError:
            raise Permanent("server lacks SMTPUTF8") from None
        except smtplib.SMTPResponseException as error:
            raise Transient(f"{type(error).__name__} {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise Transient(type(error).__name__) from None

    def _greet(self, smtp: smtplib.SMTP) -> None:
        """STARTTLS where it is offered; a password crosses no network without it."""
        server = self._server
        smtp.ehlo_or_helo_if_needed()
        encrypted = server.tls
        if not encrypted and smtp.has_extn("starttls"):
            smtp.starttls(context=self._context)
            smtp.ehlo()
            encrypted = True
        if server.user is None:
            return
        if not encrypted and not _is_loopback(server.host):
            raise Transient("server offers no TLS for the password")
        try:
            smtp.login(server.user, server.password or "")
        except smtplib.SMTPNotSupportedError:
            raise Transient("server offers no login for the password") from None


def _classed(what: str, code: int) -> Permanent | Transient:
    reason = f"{what} {code}"
    final = 500 <= code < 600 and code not in _NOT_LOGGED_IN
    return Permanent(reason) if final else Transient(reason)


def _bare(header: AddressHeader) -> str:
    return header.addresses[0].addr_spec


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
