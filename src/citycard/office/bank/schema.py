# SPDX-License-Identifier: Apache-2.0
"""Checks ISO 20022 messages against their schemas, which the extra `bank` brings along."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

PAIN: Final = "pain.001.001.09"
CAMT: Final = "camt.053.001.08"
NOTICE: Final = "camt.054.001.08"
REPORTS: Final = ("pain.002.001.03", "pain.002.001.10", "pain.002.001.12")  # alike in what is read of them
READ: Final = (CAMT, NOTICE, *REPORTS)
HOMES: Final = {
    PAIN: ("pain001", f"templates/{PAIN}/{PAIN}.xsd"),
    CAMT: ("camt053", f"xsd/{CAMT}.xsd"),
    NOTICE: ("camt053", f"xsd/{NOTICE}.xsd"),
    **{name: ("pain001", f"pain002/schemas/{name}.xsd") for name in REPORTS},
}


def available(message: str) -> bool:
    """Whether the schema of a message, and the library that reads schemas, are installed."""
    return find_spec("xmlschema") is not None and _path(message) is not None


def fault(message: str, content: bytes) -> str | None:
    """The first thing in a message that its schema forbids, with its place; None when it conforms."""
    found = next(_schema(message).iter_errors(content), None)
    return None if found is None else f"{found.path}: {found.reason}"[:300]


def _path(message: str) -> Path | None:
    package, inside = HOMES[message]
    found = find_spec(package)
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / inside
    return path if path.is_file() else None


@cache
def _schema(message: str) -> Any:
    from xmlschema import XMLSchema

    path = _path(message)
    assert path is not None, "ask available() first"
    return XMLSchema(path)
