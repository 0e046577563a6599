"""python -m rollcall_email_notification.preview KIND [--locale TAG] [--html] [--json]

A mail as it would be sent, with sample values. Without a kind: the kinds, and their locales.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rollcall_email_notification.rendering import Renderer

_SAMPLE: Mapping[str, Any] = {
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "at": "2026-05-04T14:30:00+02:00",
    "role": "auditor",
    "changes": ["email", "name", "locale", "attributes", "suspended"],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0, and 2 for a kind that there is not."""
    renderer = Renderer()
    kinds = renderer.kinds()
    parser = argparse.ArgumentParser(prog="rollcall mail preview", description=__doc__)
    parser.add_argument("kind", nargs="?", choices=kinds)
    parser.add_argument("--locale", default="en", help="a language tag, such as de or fr-CA")
    parser.add_argument("--html", action="store_true", help="the page, not the text")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    given = parser.parse_args(arguments)
    if given.kind is None:
        lines = [f"{kind:<18}{' '.join(locales)}\n" for kind, locales in kinds.items()]
        sys.stdout.write(json.dumps(kinds) + "\n" if given.json else "".join(lines))
        return 0
    mail = renderer.render(given.kind, {**_SAMPLE, "locale": given.locale})
    if given.json:
        shown = {"locale": mail.locale, "subject": mail.subject, "text": mail.text}
        sys.stdout.write(json.dumps({"kind": given.kind, **shown, "html": mail.html}) + "\n")
    elif given.html:
        sys.stdout.write(mail.html + "\n")
    else:
        sys.stdout.write(f"Subject: {mail.subject}\nContent-Language: {mail.locale}\n\n{mail.text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
