"""Who is meant by what a client does."""

from __future__ import annotations

from collections.abc import Iterable

from . import v1


def everybody(*, namespace: str = "/", except_: Iterable[str] = ()) -> v1.Target:
    """Every connection of a namespace but those in the rooms except_; an id is a room too."""
    return _target(namespace, except_, all=True)


def rooms(*names: str, namespace: str = "/", except_: Iterable[str] = ()) -> v1.Target:
    """The members of the rooms, each once."""
    return _target(namespace, except_, rooms=list(names))


def connections(*ids: str, namespace: str = "/") -> v1.Target:
    """These connections: an id is what a client sees as socket.id."""
    return _target(namespace, (), ids=list(ids))


def users(*names: str, namespace: str = "/", except_: Iterable[str] = ()) -> v1.Target:
    """All connections of the users."""
    return _target(namespace, except_, users=list(names))


def _target(namespace: str, except_: Iterable[str], **who: object) -> v1.Target:
    if isinstance(except_, str):
        raise TypeError(f"except_: {except_!r} is a name, not a list of names")
    return v1.Target(namespace=namespace, **{"except": list(except_)}, **who)  # type: ignore[arg-type]
