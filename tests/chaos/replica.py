"""A notification service as it is, but for handlers that fail for some users, and less rest.

python -m chaos.replica SERVICE

The only way to that: the services know no such thing, and are started otherwise.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollcall_email_notification import __main__ as mail
from rollcall_email_notification import bootstrap as mail_bootstrap
from rollcall_events import Event, Handler, Subscription
from rollcall_local.services import MAIL, SLACK
from rollcall_slack_notification import __main__ as slack
from rollcall_slack_notification import bootstrap as slack_bootstrap

UNHANDLED = "UNHANDLED"  # the variable that names the folder
# Seconds between two messages to a channel: Slack's second would let everything end up hours late.
_SPACING = 0.03

MAINS: Mapping[str, Callable[[], int]] = {MAIL: mail.main, SLACK: slack.main}


class Unhandled(Exception):
    """What the code cannot do yet."""


def failing(folder: Path, subscription: Subscription) -> Subscription:
    """The subscription, with handlers that fail for the users whose file is in the folder."""
    handlers = {name: _failing(folder, handler) for name, handler in subscription.handlers.items()}
    return replace(subscription, handlers=handlers)


def _failing(folder: Path, handler: Handler) -> Handler:
    def handle(event: Event, transaction: Any) -> None:
        if (folder / event.key).exists():
            raise Unhandled
        handler(event, transaction)

    return handle


def install(folder: Path) -> None:
    """Where the services' composition finds its parts, it finds these."""
    mail_parts, slack_parts = vars(mail_bootstrap), vars(slack_bootstrap)
    make = slack_parts["subscription"]
    mail_parts["SUBSCRIPTION"] = failing(folder, mail_parts["SUBSCRIPTION"])
    slack_parts["subscription"] = lambda channel: failing(folder, make(channel))
    slack_parts["SPACING"] = _SPACING


if __name__ == "__main__":
    install(Path(os.environ[UNHANDLED]))
    sys.exit(MAINS[sys.argv[1]]())
