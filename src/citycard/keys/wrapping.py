# SPDX-License-Identifier: Apache-2.0
"""The protected WRITE KEY: a key enciphered and MACed under the one that controls the directory.

Facts 3.2 and vectors F and H: plaintext is length, record head, key; 80 00... only when ragged; ECB; then
the secure-messaging MAC over header, Lc (which counts the MAC) and cipher, with the card's challenge as IV.
"""

from __future__ import annotations

from citycard.core.crypto import MAC_SIZE, Suite, pad80_if_ragged
from citycard.keys.secret import KeyBytes


def wrap_key(
    suite: Suite, wrapping: bytes, record_head: bytes, key: bytes, header: bytes, challenge: bytes
) -> tuple[bytes, bytes]:
    """Cipher and MAC; `suite` is that of the wrapping key. `ValueError` when a given Lc does not fit."""
    plain, head = write_key(suite.block, record_head, key, header)
    cipher = suite.encrypt(wrapping, plain)
    return cipher, suite.message_mac(wrapping, head + cipher, challenge)


def write_key(block: int, record_head: bytes, key: bytes, header: bytes) -> tuple[KeyBytes, bytes]:
    """What is enciphered, and CLA INS P1 P2 Lc, which the MAC covers before the cipher."""
    length = len(record_head) + len(key)
    plain = KeyBytes(pad80_if_ragged(bytes((length,)) + record_head + key, block))
    lc = bytes((len(plain) + MAC_SIZE,))
    if len(header) not in (4, 5) or header[4:] not in (b"", lc):
        raise ValueError(f"the header is CLA INS P1 P2 and, if given, Lc {lc.hex().upper()}")
    return plain, header[:4] + lc
