"""The secrets of a platform in containers: made once, each where its reader looks."""

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest

from rollcall_local import secret_files
from rollcall_local.home import Home

SENDERS = ("email-notification", "slack-notification")
READERS = ("cli", "gateway", "kafka", "postgres", "user-management", *SENDERS)


def made(tmp_path: Path) -> dict[str, str]:
    for reader in READERS:
        (tmp_path / "secrets" / reader).mkdir(parents=True, exist_ok=True)
    secret_files.main(Home(tmp_path / "home"), tmp_path / "secrets")
    files = [f for f in (tmp_path / "secrets").rglob("*") if f.is_file()]
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o444}
    return {f.relative_to(tmp_path / "secrets").as_posix(): f.read_text() for f in files}


def test_what_is_made_stays_but_for_the_servers_certificate(tmp_path: Path) -> None:
    first, second = made(tmp_path), made(tmp_path)
    changed = {name for name in first if first[name] != second[name]}
    assert (first.keys(), changed) == (second.keys(), {"kafka/server.pem"})


def test_secrets_are_long_and_all_different(tmp_path: Path) -> None:
    found = made(tmp_path)
    passwords = [v for name, v in found.items() if name.split("/")[0] in ("kafka", "postgres")]
    passwords.append(found["gateway/token-secret"])
    assert len({*passwords}) == len(passwords) == 10
    assert min(map(len, passwords)) >= 32
    assert {*passwords}.isdisjoint(made(tmp_path / "another").values())


def test_a_reader_gets_its_own_alone(tmp_path: Path) -> None:
    found = made(tmp_path)
    for service in ("user-management", *SENDERS):
        role = service.replace("-", "_")
        url = f"postgresql://{role}:{found[f'postgres/{role}']}@postgres:5432/rollcall"
        assert found[f"{service}/database-url"] == url
        assert found[f"{service}/kafka-password"] == found[f"kafka/{service}"]
    assert [name for name in found if name.startswith("gateway/")] == ["gateway/token-secret"]


def test_kafkas_certificate_is_good_for_its_name_and_no_other(tmp_path: Path) -> None:
    found = tmp_path / "secrets"
    authority = made(tmp_path)["cli/kafka-ca.crt"]
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(found / "kafka/server.pem")
    client = ssl.create_default_context(cadata=authority)
    assert _shake_hands(server, client, "kafka")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _shake_hands(server, client, "localhost")
    stranger = ssl.create_default_context(cadata=made(tmp_path / "another")["cli/kafka-ca.crt"])
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(server, stranger, "kafka")


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bool:
    here, there = socket.socketpair()
    here.settimeout(10)
    there.settimeout(10)

    def serve() -> None:
        try:
            server.wrap_socket(there, server_side=True).close()
        except OSError:
            there.close()

    serving = threading.Thread(target=serve)
    serving.start()
    try:
        client.wrap_socket(here, server_hostname=name).close()
        return True
    finally:
        here.close()
        serving.join(10)
