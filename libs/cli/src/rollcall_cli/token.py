"""rollcall token"""

import argparse
import os
import threading
import time

from rollcall_cli import exits
from rollcall_cli.output import Output
from rollcall_local import credentials, discovery, first_user, tokens
from rollcall_local.client import NotRunning
from rollcall_local.home import Home

# In a network, the first user is made while others ask already; `rollcall up` waits for it.
_PATIENCE, _PAUSE = 60.0, 0.2  # seconds


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
    if discovery.is_asked_for(os.environ):
        _wait_for_first_user(home)
    secret, user = credentials.token_secret(home), home.read(first_user.FILE)
    if not secret or not user:
        raise NotRunning("there is no first user yet: start the platform with `rollcall up`")
    subject = f"users/{user['id']}"
    return tokens.mint(secret, subject), subject


def _wait_for_first_user(home: Home) -> None:
    deadline, pause = time.monotonic() + _PATIENCE, threading.Event()
    while home.read(first_user.FILE) is None and time.monotonic() < deadline:
        pause.wait(_PAUSE)
