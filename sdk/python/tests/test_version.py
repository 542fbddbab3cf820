"""What the package is called by the version that it is built with."""

import importlib
import pathlib
import sys

import pytest

pytest.importorskip("setuptools")


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ("1.2.3", "1.2.3"),
        ("1.2.3-rc.1", "1.2.3rc1"),
        ("1.2.3-beta.10", "1.2.3b10"),
        ("1.2.3-alpha.2", "1.2.3a2"),
        ("v1.2.3-0-gabcdef0", "1.2.3"),
        ("v1.2.3-4-gabcdef0", "1.2.3.post4.dev0+gabcdef0"),
        ("v1.2.3-rc.1-4-gabcdef0", "1.2.3rc1.post4.dev0+gabcdef0"),
        ("abcdef0", "0.0.0.dev0+gabcdef0"),
        ("nightly", "0.0.0.dev0"),
    ],
)
def test_the_version_in_pythons_words(monkeypatch: pytest.MonkeyPatch, given: str, version: str) -> None:
    monkeypatch.syspath_prepend(str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
    monkeypatch.delitem(sys.modules, "backend", raising=False)
    monkeypatch.setenv("FANOUTD_VERSION", given)
    assert importlib.import_module("backend").version() == version
