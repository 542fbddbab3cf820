"""The control API by TLS, with and without certificates of backends."""

from __future__ import annotations

import pathlib
import subprocess

import grpc
import pytest

import fanoutd
from daemon import Daemon
from fanoutd import socketio
from test_client import members
from waiting import until


class Authority:
    """Signs certificates, by openssl, and keeps them in a folder."""

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._openssl("req", "-x509", *self._new(name), "-days", "2")

    @property
    def file(self) -> str:
        return str(self.folder / f"{self.name}.pem")

    def _new(self, name: str) -> list[str]:
        key, certificate = (str(self.folder / f"{name}.{what}") for what in ("key", "pem"))
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate]

    def sign(self, name: str) -> tuple[str, str]:
        """The files of a certificate for 127.0.0.1, and of its key."""
        ca = ["-CA", self.file, "-CAkey", str(self.folder / f"{self.name}.key")]
        self._openssl("req", "-x509", *self._new(name), "-days", "2", *ca, "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE")
        return str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def read(file: str) -> bytes:
    return pathlib.Path(file).read_bytes()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ours")


@pytest.fixture
def secure(start_daemon, authority):
    """Starts a daemon whose control API is served by TLS."""

    def start(**flags: str) -> Daemon:
        certificate, key = authority.sign("daemon")
        return start_daemon(control_tls_cert_file=certificate, control_tls_key_file=key, **flags)

    return start


async def test_an_authority_of_ones_own(secure, authority, browser, tmp_path, monkeypatch):
    """By a variable for the server, by credentials for the client; another authority is
    not believed."""
    daemon = secure()
    credentials = grpc.ssl_channel_credentials(read(authority.file))
    async with fanoutd.Client(daemon.control, credentials=credentials) as client:
        monkeypatch.setenv("FANOUTD_CONTROL_CA_FILE", authority.file)
        sio = socketio.AsyncServer(addresses=daemon.control, group="tls")
        sio.on("ask", lambda sid: "answer")
        await sio.start()
        await until(lambda: members(client, "tls"), "it has joined")
        b = await browser(daemon).connect()
        assert await b.io.call("ask") == "answer"
        assert await client.emit(fanoutd.everybody(), "x") == 1
        await sio.shutdown()
    stranger = grpc.ssl_channel_credentials(read(Authority(tmp_path, "theirs").file))
    for wrong in (stranger, None):
        monkeypatch.delenv("FANOUTD_CONTROL_CA_FILE", raising=False)
        async with fanoutd.Client(daemon.control, credentials=wrong, patience=0.5) as client:
            with pytest.raises(fanoutd.UnavailableError):
                await client.emit(fanoutd.everybody(), "x")


async def test_a_certificate_in_place_of_a_key(secure, authority, tmp_path, browser):
    """With it a backend gets in, as who it names; without it, or with that of another
    authority, it does not."""
    daemon = secure(control_client_ca_file=authority.file)
    root = read(authority.file)

    def shows(files: tuple[str, str] | None) -> grpc.ChannelCredentials:
        if files is None:
            return grpc.ssl_channel_credentials(root)
        certificate, key = files
        return grpc.ssl_channel_credentials(root, read(key), read(certificate))

    ours = shows(authority.sign("chat"))
    async with fanoutd.Client(daemon.control, credentials=ours) as client:
        sio = socketio.AsyncServer(addresses=daemon.control, credentials=ours, group="mtls")
        sio.on("ask", lambda sid: "answer")
        await sio.start()
        b = await browser(daemon).connect()
        assert await b.io.call("ask") == "answer"
        assert await client.count(fanoutd.everybody()) == 1
        await sio.shutdown()
    for files in (None, Authority(tmp_path, "theirs").sign("impostor")):
        async with fanoutd.Client(daemon.control, credentials=shows(files), patience=0.5) as client:
            with pytest.raises((fanoutd.PermissionDeniedError, fanoutd.UnavailableError)):
                await client.emit(fanoutd.everybody(), "x")
