"""Files that the wrappers of both kinds serve, named as python-socketio has it."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StaticFile:
    filename: str
    content_type: str


def find(path: str, files: Mapping[str, Any]) -> StaticFile | None:
    """The file for the path of a request, if files has one that exists: by its whole path, or
    below a folder that files names. files[""] is what stands for a folder itself."""
    prefix, rest = path, ""
    while prefix not in files:
        if prefix + "/" in files and rest:
            prefix += "/"
            break
        if "/" not in prefix:
            return None
        prefix, _, last = prefix.rpartition("/")
        rest = f"/{last}{rest}"
    if ".." in rest.split("/"):
        return None
    filename, content_type = _entry(files[prefix])
    filename = filename.rstrip("/") + rest if filename.endswith("/") and rest else filename + rest
    if filename.endswith("/"):
        name, its_type = _entry(files.get("", "index.html"))
        filename, content_type = filename + name, its_type or content_type
    if not os.path.isfile(filename):
        return None
    return StaticFile(filename, content_type or mimetypes.guess_type(filename)[0] or "application/octet-stream")


def _entry(entry: Any) -> tuple[str, str]:
    return (entry, "") if isinstance(entry, str) else (entry["filename"], entry.get("content_type", ""))
