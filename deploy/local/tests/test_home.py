"""The state directory: private, recognised, and never somebody else's."""

import stat
from pathlib import Path

import pytest

from rollcall_local import credentials
from rollcall_local.errors import PlatformError
from rollcall_local.home import Home


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.create()
    kept = credentials.load_or_create(home, ("postgres",))
    assert mode(home.root) == mode(home.data) == 0o700
    assert mode(home.root / "secrets.json") == 0o600
    assert kept.token_secret not in repr(kept)
    assert len(kept.token_secret) >= 32


def test_credentials_stay_the_same_and_grow(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.create()
    first = credentials.load_or_create(home, ("postgres",))
    second = credentials.load_or_create(home, ("postgres", "user_management"))
    assert second.token_secret == first.token_secret
    assert second.cluster_id == first.cluster_id
    assert second.postgres["postgres"] == first.postgres["postgres"]
    assert credentials.load_or_create(home, ()) == second


def test_a_directory_with_other_things_is_refused_and_never_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    home = Home(tmp_path)
    with pytest.raises(PlatformError, match="ROLLCALL_HOME"):
        home.create()
    assert not home.remove()
    assert (tmp_path / "thesis.txt").exists()


def test_a_long_path_has_a_socket_that_the_kernel_accepts(tmp_path: Path) -> None:
    home = Home(tmp_path / ("long" * 30))
    assert len(str(home.socket)) <= 100
    assert home.socket != Home(tmp_path / ("other" * 30)).socket
