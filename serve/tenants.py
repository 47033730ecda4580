"""One service for each tenant: banks, policies and records of different tenants have nothing in common."""

from __future__ import annotations

import threading
from collections.abc import Callable

from .service import Service


class UnknownTenant(ValueError):
    """There is no room for one more tenant."""


class Tenants:
    """Services by tenant, each made when its first request comes; without tenants the one of the name ""."""

    def __init__(self, make: Callable[[str], Service], most: int = 100) -> None:
        self._make = make
        self._most = most
        self._services: dict[str, Service] = {}
        self._making = threading.Lock()

    def get(self, name: str) -> Service:
        """The service of a tenant. Raises UnknownTenant where there are as many as may be."""
        service = self._services.get(name)
        if service is not None:
            return service
        with self._making:
            if name not in self._services:
                if len(self._services) >= self._most:
                    raise UnknownTenant(f"there are {self._most} tenants already")
                self._services[name] = self._make(name)
            return self._services[name]

    def all(self) -> dict[str, Service]:
        """Those that there are."""
        return dict(self._services)

    def close(self) -> None:
        for service in self._services.values():
            service.close()
