"""The build backend: setuptools, after the contract has been generated.

In a checkout what is generated comes from the repository's proto/ and its version; an
sdist has both in it, so that building from one needs nothing but setuptools.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  what is not below

here = pathlib.Path(__file__).resolve().parents[1]
proto = here.parents[1] / "proto"
needed = ["grpcio-tools>=1.60"]


def in_checkout() -> bool:
    return (proto / "fanout/v1/event.proto").exists()


def version() -> str:
    """The daemon's version, as the Makefile has it, in the words of Python's packages."""
    described = os.environ.get("FANOUTD_VERSION", "")
    if not described:
        command = ["git", "describe", "--tags", "--always", "--long"]
        result = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
        described = result.stdout.strip()
    release = re.fullmatch(r"v?(\d+\.\d+\.\d+)(?:-(alpha|beta|rc)\.(\d+))?(?:-(\d+)-g([0-9a-f]+))?", described)
    if release is None:
        commit = re.fullmatch(r"[0-9a-f]{7,}", described)
        return "0.0.0.dev0" + (f"+g{described}" if commit else "")
    number, stage, candidate, ahead, commit_id = release.groups()
    if stage:
        number += {"alpha": "a", "beta": "b", "rc": "rc"}[stage] + candidate
    return number if ahead in (None, "0") else f"{number}.post{ahead}.dev0+g{commit_id}"


def prepare() -> None:
    if not in_checkout():
        return
    import generate

    generate.main(proto, here / "src/fanoutd/v1")
    text = f'"""Written by the build."""\n\nversion = "{version()}"\n'
    (here / "src/fanoutd/_version.py").write_text(text)


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return needed if in_checkout() else []


get_requires_for_build_sdist = get_requires_for_build_wheel
get_requires_for_build_editable = get_requires_for_build_wheel


def build_wheel(*args: Any, **kwargs: Any) -> str:
    prepare()
    return build_meta.build_wheel(*args, **kwargs)


def build_sdist(*args: Any, **kwargs: Any) -> str:
    prepare()
    return build_meta.build_sdist(*args, **kwargs)


def build_editable(*args: Any, **kwargs: Any) -> str:
    prepare()
    return build_meta.build_editable(*args, **kwargs)


def prepare_metadata_for_build_wheel(*args: Any, **kwargs: Any) -> str:
    prepare()
    return build_meta.prepare_metadata_for_build_wheel(*args, **kwargs)


def prepare_metadata_for_build_editable(*args: Any, **kwargs: Any) -> str:
    prepare()
    return build_meta.prepare_metadata_for_build_editable(*args, **kwargs)
