"""rollcall token"""

import argparse

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_local import credentials, first_user, tokens
from rollcall_local.client import NotRunning
from rollcall_local.home import Home


def token(home: Home, options: argparse.Namespace, output: Output) -> int:
    """Print a bearer token of the first user."""
    minted, subject = _minted(home)
    output.result({"token": minted, "sub": subject, "expires_in": tokens.LIFETIME}, minted)
    return exits.OK


def first_users_token(home: Home) -> str:
    """Raises NotRunning before the platform's first start, which makes that user."""
    return _minted(home)[0]


def _minted(home: Home) -> tuple[str, str]:
    """The token and its subject."""
    secret, user = credentials.token_secret(home), home.read(first_user.FILE)
    if not secret or not user:
        raise NotRunning("there is no first user yet: start the platform with `rollcall up`")
    subject = f"users/{user['id']}"
    return tokens.mint(secret, subject), subject
