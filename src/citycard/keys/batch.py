# SPDX-License-Identifier: Apache-2.0
"""The MAC of a batch: the terminal's PSAM makes it, the office checks it.

Secure-messaging MAC of 8 bytes over the header before the MAC, IV zero, under the batch key diversified by
the terminal's number with two zero bytes before it. The PSAM gives it to DELIVERY KEY `801A 24 version 08
factor` and CIPHER `80FA 01 00` over the header padded 80 00... to 8 (see `psam`).
"""

from __future__ import annotations

from typing import Final

from citycard.core.crypto import same
from citycard.core.record import BATCH_MAC_SIZE, HEADER, HEADER_SIZE
from citycard.keys.hierarchy import terminal_factor
from citycard.keys.vault import KeyName, Vault

NO_CHALLENGE: Final = bytes(8)


def batch_mac(vault: Vault, terminal: bytes, header: bytes, version: int = 1) -> bytes:
    """The 8-byte MAC of a header without its MAC (`core.record.build_header`)."""
    factors = (terminal_factor(terminal),)
    return vault.message_mac(KeyName.BATCH, version, factors, header, NO_CHALLENGE, size=BATCH_MAC_SIZE)


def check_batch(vault: Vault, header: bytes, version: int = 1) -> bool:
    """Whether the MAC at the end of a whole header is that of the terminal it names."""
    terminal = header[HEADER.span("terminal")]
    expected = batch_mac(vault, terminal, header[: HEADER_SIZE - BATCH_MAC_SIZE], version)
    return same(expected, header[HEADER_SIZE - BATCH_MAC_SIZE : HEADER_SIZE])
