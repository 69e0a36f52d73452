# SPDX-License-Identifier: Apache-2.0
"""How the vault's keys stand on a token: what an object's label and id tell, and reading them back.

A label is `citycard:name:version:suite`; helpers of an imported key have one word more. The id holds the
format, three moments (created, not before, not after) and the check value.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import datetime
from typing import Final

from citycard.core.calendar import bcd_datetime, from_bcd_datetime
from citycard.core.crypto import KEY_SIZE, SUITES
from citycard.keys.hierarchy import KeyId
from citycard.keys.memory_vault import Held
from citycard.keys.pkcs11_token import PREFIX, TOKEN_ALTERED, Found, Token, TokenKey
from citycard.keys.vault import KeyInfo, KeyName

META: Final = struct.Struct(">3s7s7s7s3s")
FORMAT: Final = b"CC1"
STORAGE: Final = f"{PREFIX}storage"
LEFT, FOLD = "left", "fold"  # helpers of an imported key: its left half, its halves xored, each as K K K
UNFINISHED: Final = bytes(3)  # the check value of a key whose generation was cut off


class Root:
    """A root key in the token; an imported one brings its helpers."""

    __slots__ = ("fold", "key", "left")

    def __init__(self, key: TokenKey, left: TokenKey | None = None, fold: TokenKey | None = None) -> None:
        self.key, self.left, self.fold = key, left, fold


def label_of(key_id: KeyId, helper: str = "") -> str:
    """The label of a key, or of a helper of it."""
    name, version, suite = key_id
    return f"{PREFIX}{name}:{version}:{SUITES[suite].name}" + (f":{helper}" if helper else "")


def id_of(label: str) -> KeyId | None:
    """The key a label names; None for helpers and the storage key."""
    parts = label.removeprefix(PREFIX).split(":")
    suites = {suite.name: number for number, suite in SUITES.items()}
    if len(parts) != 3 or parts[0] not in set(KeyName) or not parts[1].isdecimal() or parts[2] not in suites:
        return None
    return parts[0], int(parts[1]), suites[parts[2]]


def meta_of(info: KeyInfo) -> bytes:
    """The id of a key."""
    moments = [bytes(7) if at is None else bcd_datetime(at) for at in _moments(info)]
    return META.pack(FORMAT, *moments, bytes.fromhex(info.check_value))


def _moments(info: KeyInfo) -> tuple[datetime, datetime | None, datetime | None]:
    return info.created, info.not_before, info.not_after


def _info_of(token: Token, found: Found, key_id: KeyId) -> KeyInfo:
    try:
        form, created, not_before, not_after, check_value = META.unpack(found.meta)
        moments = [from_bcd_datetime(moment) for moment in (created, not_before, not_after)]
    except (struct.error, ValueError):
        form = b""
    if form != FORMAT:
        raise TOKEN_ALTERED(label=found.label, token=token.label, what="its id is not understood")
    return KeyInfo(*key_id, check_value.hex().upper(), moments[0] or datetime.min, moments[1], moments[2])


def checked_info(token: Token, found: Found, key_id: KeyId, root: Root) -> KeyInfo:
    """What is told of a key, checked against the key; a generation that was cut off is finished."""
    info, real = _info_of(token, found, key_id), check_value(token, root.key)
    if info.check_value == UNFINISHED.hex():
        info = replace(info, check_value=real)
        token.set_meta(root.key, meta_of(info))
    if info.check_value != real:
        raise TOKEN_ALTERED(label=found.label, token=token.label, what="its check value is another")
    return info


def opened(token: Token, found: Found, key_id: KeyId, storage: TokenKey) -> Held:
    """An SM4 key out of its data object. TOKEN_ALTERED."""
    info = _info_of(token, found, key_id)
    key = token.unseal(storage, token.read(found), found.label.encode() + found.meta)
    if key is None or len(key) != KEY_SIZE:
        raise TOKEN_ALTERED(label=found.label, token=token.label, what="it does not open")
    return Held(info, key)


def root_of(token: Token, found: Found, others: dict[str, Found]) -> Root:
    """A root key with the helpers that stand beside it."""
    helpers = [others.get(f"{found.label}:{helper}") for helper in (LEFT, FOLD)]
    left, fold = (TokenKey(token, one.handle, lasting=True) if one else None for one in helpers)
    return Root(TokenKey(token, found.handle, lasting=True), left, fold)


def check_value(token: Token, key: TokenKey) -> str:
    """Six hex digits of the enciphered zero block."""
    return bytes(token.ecb(key, bytes(8)))[:3].hex().upper()
