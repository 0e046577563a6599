"""rollcall mail preview: the service's own command, because only it knows its templates."""

import argparse
import subprocess
import sys

from rollcall_cli.output import Output
from rollcall_local.home import Home

_MODULE = "rollcall_email_notification.preview"


def mail(home: Home, options: argparse.Namespace, output: Output) -> int:
    words = [options.kind] if options.kind else []
    words += ["--locale", options.locale] if options.locale else []
    words += [f"--{name}" for name in ("html", "json") if getattr(options, name)]
    return subprocess.run([sys.executable, "-m", _MODULE, *words], check=False).returncode  # noqa: S603
