"""The built daemon on free ports, for one test."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

root = pathlib.Path(__file__).resolve().parents[3]
binary = pathlib.Path(os.environ.get("DAEMON", root / "bin/fanoutd"))


# Ports are chosen outside the range from which the system gives connections theirs, so that
# no connection takes one between its choice and its use, or while its daemon restarts. Each
# process of one run of the tests has a part of its own, and begins anywhere in it, since
# those of another run choose likewise.
_parts, _size = 6, 1_000
_part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _parts
lowest_port = 26_000 + _part * _size
ports = itertools.cycle(range(lowest_port, lowest_port + _size))
for _ in range(random.randrange(_size)):
    next(ports)


def free_ports(n: int) -> list[int]:
    """Ports that were free a moment ago."""
    chosen: list[int] = []
    for port in itertools.islice(ports, n + 100):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            chosen.append(port)
        if len(chosen) == n:
            return chosen
    raise RuntimeError(f"there are no {n} free ports from {lowest_port} on")


def until(done, what: str, seconds: float = 20.0):
    """Asks until there is an answer, and returns it."""
    end = time.monotonic() + seconds
    while True:
        answer = done()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not in {seconds:g} s: {what}")
        time.sleep(0.02)


class Daemon:
    def __init__(self, directory: pathlib.Path, **flags: str) -> None:
        if not binary.exists():
            raise RuntimeError(f'{binary} is not there: run "make build" first')
        self.directory = directory
        self.flags = {name.replace("_", "-"): value for name, value in flags.items()}
        # A port that was free may be taken by the time the daemon wants it.
        for attempts_left in (2, 1, 0):
            self.choose_ports()
            try:
                self.start()
                return
            except RuntimeError:
                if not attempts_left or "address already in use" not in self.log.read_text():
                    raise

    def choose_ports(self) -> None:
        listen, control, ops = free_ports(3)
        self.url = f"http://127.0.0.1:{listen}"
        self.control = f"127.0.0.1:{control}"
        self.ops = f"http://127.0.0.1:{ops}"
        self.log = self.directory / f"daemon-{listen}.log"
        settings = {"listen": f"127.0.0.1:{listen}", "control-listen": self.control, "ops-listen": self.ops.removeprefix("http://")}
        self.arguments = [str(binary), *(f"--{name}={value}" for name, value in (settings | self.flags).items())]

    def start(self) -> None:
        env = {name: value for name, value in os.environ.items() if not name.startswith("FANOUTD_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.arguments, cwd=self.directory, env=env, stdout=log, stderr=log)
        until(self.ready, "the daemon is ready")

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"the daemon ended at once: {self.log.read_text()}")
        try:
            with urllib.request.urlopen(self.ops + "/readyz", timeout=1) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
