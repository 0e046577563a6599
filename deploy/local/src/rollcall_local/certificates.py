"""A certificate authority of one platform, and the certificate of its Kafka, by `openssl`."""

import subprocess
from pathlib import Path

from rollcall_local.errors import PlatformError

_AUTHORITY_DAYS, _SERVER_DAYS = "3650", "397"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def authority(directory: Path) -> Path:
    """Its certificate, made with its key in `directory` unless both are there."""
    key, certificate = directory / "ca.key", directory / "ca.crt"
    if not (key.exists() and certificate.exists()):
        made = ("-keyout", str(key), "-out", str(certificate))
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        named = ("-subj", "/CN=Rollcall", "-days", _AUTHORITY_DAYS)
        _openssl("req", "-x509", *_KEY, *named, *usage, *made)
        key.chmod(0o600)
    return certificate


def server(directory: Path, host: str) -> str:
    """A new key of the server called `host` and its certificate, as one PEM.

    `directory` is the authority's. The certificate is good for a year: make one at each start.
    """
    key, certificate = directory / "server.key", directory / "server.crt"
    signer = ("-CA", str(directory / "ca.crt"), "-CAkey", str(directory / "ca.key"))
    usage = (
        "-addext",
        "basicConstraints=critical,CA:false",
        "-addext",
        f"subjectAltName=DNS:{host}",
    )
    named = ("-subj", f"/CN={host}", "-days", _SERVER_DAYS)
    made = ("-keyout", str(key), "-out", str(certificate))
    _openssl("req", "-x509", *_KEY, *named, *usage, *signer, *made)
    try:
        return key.read_text() + certificate.read_text()
    finally:
        key.unlink()
        certificate.unlink()


def _openssl(*arguments: str) -> None:
    done = subprocess.run(  # noqa: S603
        ("openssl", *arguments),  # noqa: S607  (where the system has it)
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise PlatformError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
