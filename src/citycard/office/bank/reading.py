# SPDX-License-Identifier: Apache-2.0
"""Reads what a bank sends: which ISO 20022 message it is, and the values every such message is made of.

No entity, no document type, no size beyond `SIZE_MAX`, no currency but the settlement account's. Whatever is
wrong raises `ValueError` with the reason.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final
from xml.etree import ElementTree as ET

SIZE_MAX: Final = 64 * 1024 * 1024  # a million entries; more is no day of a scheme
AMOUNT: Final = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,5}))?")
COUNT: Final = re.compile(r"[0-9]{1,18}")
CURRENCY: Final = "CNY"
ISO_20022: Final = "urn:iso:std:iso:20022:tech:xsd:"
NAME_MAX, REF_MAX, ACCOUNT_MAX, TEXT_MAX = 140, 35, 34, 200


class _NoDoctype(ET.TreeBuilder):
    """Refuses document types, and with them every entity a file might bring along."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it has a document type, which messages do not have")


def root_of(content: bytes) -> ET.Element:
    """The root of a message."""
    if len(content) > SIZE_MAX:
        raise ValueError(f"it has more than {SIZE_MAX} bytes")
    try:
        return ET.fromstring(content, ET.XMLParser(target=_NoDoctype()))
    except (ET.ParseError, LookupError) as fault:
        raise ValueError(f"it is no XML: {fault}") from None


def kind_of(root: ET.Element) -> str:
    """The message and its version, such as camt.053.001.08; anything else by its whole tag, cut short."""
    namespace, _, tag = root.tag.removeprefix("{").rpartition("}")
    if tag == "Document" and namespace.startswith(ISO_20022):
        return namespace.removeprefix(ISO_20022)[:100]
    return root.tag[:100]


def document(content: bytes, message: str) -> ET.Element:
    """The root of a message of exactly this kind and version."""
    root = root_of(content)
    if kind_of(root) != message:
        raise ValueError(f"it is {kind_of(root)}")
    return root


def credit(node: ET.Element) -> bool:
    """Whether money came in."""
    word = needed(node, "CdtDbtInd")
    if word not in ("CRDT", "DBIT"):
        raise ValueError(f"CdtDbtInd is {word[:20]!r}")
    return word == "CRDT"


def amount(node: ET.Element, path: str = "Amt") -> int:
    """An amount in fen."""
    found = node.find(_path(path))
    value = "" if found is None else (found.text or "").strip()
    if found is not None and found.get("Ccy") != CURRENCY:
        raise ValueError(f"an amount is {value[:20]!r} {found.get('Ccy', '')[:3]}, not yuan")
    return fen(value)


def fen(value: str) -> int:
    """A decimal number of yuan in fen."""
    whole = AMOUNT.fullmatch(value)
    if whole is None:
        raise ValueError(f"an amount is {value[:20]!r}, not yuan")
    parts = (whole[2] or "").ljust(2, "0")
    if parts[2:].strip("0"):
        raise ValueError(f"the amount {value} is no whole number of fen")
    return int(whole[1]) * 100 + int(parts[:2])


def count(value: str) -> int:
    """A count, or a number that a bank gives: at most 18 digits."""
    if not COUNT.fullmatch(value):
        raise ValueError(f"{value[:20]!r} is no count")
    return int(value)


def day(value: str) -> date:
    """The day of an ISO date or date and time."""
    return date.fromisoformat(value[:10])


def account(node: ET.Element, path: str = "Acct") -> str:
    """The number of the account a message is about, which is held in yuan."""
    currency = text(node, f"{path}/Ccy")
    if currency not in ("", CURRENCY):
        raise ValueError(f"the account is held in {currency[:3]}, not in yuan")
    return text(node, f"{path}/Id/IBAN") or needed(node, f"{path}/Id/Othr/Id")


def text(node: ET.Element, path: str) -> str:
    """The text at a path of tags; empty when there is none."""
    found = node.find(_path(path))
    return "" if found is None else (found.text or "").strip()


def needed(node: ET.Element, path: str) -> str:
    """The text at a path that has to be there."""
    found = text(node, path)
    if not found:
        raise ValueError(f"{path} is missing")
    return found


def name(node: ET.Element, path: str) -> str:
    """An identification that has to be there and fits the standard's 35 characters."""
    found = needed(node, path)
    if len(found) > REF_MAX:
        raise ValueError(f"{path} has more than {REF_MAX} characters")
    return found


def _path(path: str) -> str:
    return "/".join(f"{{*}}{tag}" for tag in path.split("/"))
