"""What class-based namespaces have in common."""

from __future__ import annotations

from typing import Any


class BaseNamespace:
    """A namespace whose handlers are methods."""

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace or "/"

    def is_asyncio_based(self) -> bool:
        return False


class BaseServerNamespace(BaseNamespace):
    """A namespace of a server, once it is registered there."""

    def __init__(self, namespace: str | None = None) -> None:
        super().__init__(namespace=namespace)
        self.server: Any = None

    def _set_server(self, server: Any) -> None:
        self.server = server

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """As the server's, in this namespace."""
        return self.server.rooms(sid, namespace=namespace or self.namespace)  # type: ignore[no-any-return]
