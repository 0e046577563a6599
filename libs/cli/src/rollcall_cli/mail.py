"""rollcall mail preview: the service's own command, because only it knows its templates."""

import argparse
import subprocess
import sys

from rollcall_cli.output import Output
from rollcall_local.home import Home

HELP = "what the e-mails look like"
_MODULE = "rollcall_email_notification.preview"


def add_actions(parser: argparse.ArgumentParser, machine: argparse.ArgumentParser) -> None:
    """machine: with the options that every command has."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "an e-mail with sample values; without a kind, which there are"
    added = actions.add_parser("preview", help=text, description=text, parents=[machine])
    added.add_argument("kind", nargs="?", help="such as welcome")
    added.add_argument("--locale", help="a language tag, such as de or fr-CA (default en)")
    added.add_argument("--html", action="store_true", help="the page, not the text")


def run(home: Home, options: argparse.Namespace, output: Output) -> int:
    words = [options.kind] if options.kind else []
    words += ["--locale", options.locale] if options.locale else []
    words += [f"--{name}" for name in ("html", "json") if getattr(options, name)]
    return subprocess.run([sys.executable, "-m", _MODULE, *words], check=False).returncode  # noqa: S603
