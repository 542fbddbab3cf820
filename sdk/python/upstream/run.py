"""Runs python-socketio's own tests of its servers' public behaviour against this package.

    python upstream/run.py [--write] [arguments of pytest]

They are fetched from the package index, as the sdist of the release that is installed, and
stay in a temporary folder. A stand-in for the daemon takes the packets that they feed to
Engine.IO and hands over what a daemon would: see conftest.py. What is chosen, and why the
rest is not, stands in chosen.py, and by the names of the tests in LEFT_OUT.md, which --write
writes and which has to be what is left out.
"""

from __future__ import annotations

import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

from chosen import MODULES

SKIPPED = 77  # the exit code that says so

here = pathlib.Path(__file__).resolve().parent


def main() -> int:
    release = importlib.metadata.version("python-socketio")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        fetch = ["pip", "download", "--quiet", "--no-deps", "--no-binary=python-socketio", "--no-build-isolation"]
        if subprocess.run([sys.executable, "-m", *fetch, "-d", scratch, f"python-socketio=={release}"]).returncode:
            print(f"the sdist of python-socketio {release} is not to be had here")
            return SKIPPED
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            archive.extractall(folder)
        tests = next(folder.glob("python_socketio-*/tests"))
        shutil.copy(here / "conftest.py", tests / "conftest.py")
        shutil.copy(here / "chosen.py", tests / "chosen.py")
        files = [str(tests / f) for f in MODULES]
        command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=line", "-p", "no:cacheprovider", "--asyncio-mode=auto", "--timeout=60", *files]
        arguments = [a for a in sys.argv[1:] if a != "--write"]
        code = subprocess.run([*command, *arguments], cwd=tests).returncode
        left_out = (tests / "left_out.md").read_text()
        if "--write" in sys.argv:
            (here / "LEFT_OUT.md").write_text(left_out)
        if left_out != (here / "LEFT_OUT.md").read_text() or "| ? |" in left_out:
            print("LEFT_OUT.md is not what is left out: run upstream/run.py --write, and give modules a reason in chosen.py")
            return code or 1
        return code


if __name__ == "__main__":
    sys.exit(main())
