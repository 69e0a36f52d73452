# SPDX-License-Identifier: Apache-2.0
"""The verticals: what a tap costs and what the card must remember, the same at the gate and in re-rating.

`REGISTRY` holds every service by its code on the wire. Adding one is a folder or a file with a `SERVICE`,
its table of example taps, and a line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from citycard.core.problem import declare
from citycard.services import bus, metro, retail
from citycard.services.contract import Service

__all__ = ["REGISTRY", "SERVICE_UNKNOWN", "Service", "load_config", "service_named"]

SERVICE_UNKNOWN = declare(
    "SERVICE_UNKNOWN",
    "There is no service {service!r}. Known are: {known}.",
    "没有名为 {service!r} 的业务。现有业务：{known}。",
)

REGISTRY: Final[dict[int, Service]] = {s.code: s for s in (bus.SERVICE, metro.SERVICE, retail.SERVICE)}


def service_named(name: str | int) -> Service:
    """The service of a name or code; raises the problem `SERVICE_UNKNOWN`."""
    for service in REGISTRY.values():
        if name in (service.name, service.code):
            return service
    raise SERVICE_UNKNOWN(service=name, known=", ".join(s.name for s in REGISTRY.values()))


def load_config(service: str | int, plain: Mapping[str, Any], what: str = "") -> Any:
    """The tariff of a service from plain values (JSON, TOML); raises the problem `TARIFF_INVALID`."""
    found = service_named(service)
    return found.config.from_plain(plain, what or f"the {found.name} tariff")
