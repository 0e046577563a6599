"""rollcall load: users from a file, or synthetic ones, straight into the log."""

import argparse
import re
from pathlib import Path

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_local.home import Home

HELP = "load users from a CSV file, or synthetic ones"
_DESCRIPTION = """\
Load users from a CSV file, or synthetic ones, as events straight into the log.

The first line of the file names its columns, in any order:
  email, name   have to be there
  locale        a language tag, such as de or pt-BR
  status        active (where it is empty), or suspended
  attributes    a JSON object
  roles         names or ids of roles that there are, with ; between them
Every row is checked as a command would be, and nothing is loaded if one is wrong.
"""
_MORE = """\
The events are marked as an import: users appear, in the history too, but nobody
is sent an e-mail or a Slack message about them. The deliveries are settled.

An import is not admitted like a command: an e-mail that another user has is
loaded all the same, and the later of the two shows "conflict": true.

A load that was interrupted may be repeated: with the same label (and for
synthetic users the same numbers) nothing is done twice. A user is known again by
the e-mail, and is left alone: what else a row says is not changed by loading it
again. To load people anew who were deleted since, give another label.
"""
_MOST = 100_000_000
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "rollcall load FILE [options]\n       rollcall load --synthetic USERS [options]"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = _DESCRIPTION, _MORE
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a CSV file, in UTF-8")
    what.add_argument("--synthetic", type=_number, metavar="USERS", help="this many made-up users")
    text = "so many events of them in all (default: ten for each user)"
    parser.add_argument("--events", type=_number, metavar="N", help=text)
    text = "another seed makes other events (default 1)"
    parser.add_argument("--seed", type=_number, metavar="S", help=text)
    text = "what the import is called (default: the name of the file, or synthetic)"
    parser.add_argument("--label", type=_label, metavar="NAME", help=text)
    parser.add_argument("--dry-run", action="store_true", help="check, and load nothing")


def run(home: Home, options: argparse.Namespace, output: Output) -> int:
    if options.file is not None and (options.events or options.seed):
        output.error("--events and --seed are of --synthetic users")
        return exits.USAGE
    from rollcall_cli import loading  # Kafka's client is felt by every other command

    if options.synthetic is not None:
        return loading.load_synthetic(home, options, output)
    options.label = options.label or _label_of(options.file)
    return loading.load_file(home, options, output)


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to {_MOST:,}")
    return int(text)


def _label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise argparse.ArgumentTypeError("must be 1 to 64 letters, digits and . _ -")
    return text


def _label_of(path: Path) -> str:
    """The file's name, as far as a label may have it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:64] or "users"
