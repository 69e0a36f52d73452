# SPDX-License-Identifier: Apache-2.0
"""How a secure channel is opened on the card: INITIALIZE UPDATE and EXTERNAL AUTHENTICATE.

A wrong cryptogram is counted before it is judged, so that a cut of power does not forgive it; a key version
whose tries are used up answers 6983. SCP02: Card Specification 2.3 Appendix E.5; SCP03: Amendment D 7.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.crypto import same
from citycard.core.gp import scp02, scp03
from citycard.core.gp.channel import CHALLENGE_SIZE, CRYPTOGRAM_SIZE, MAC_SIZE, Channel, Told
from citycard.core.gp.desk import Answer, Desk, Opening
from citycard.core.gp.keys import KeySet
from citycard.core.gp.scp02 import Scp02
from citycard.core.gp.scp03 import Scp03
from citycard.core.gp.state import TRIES, State, Use, is_aes
from citycard.core.gp.told import key_owner

CRYPTOGRAM_WRONG: Final = 0x6300


def initialize_update(desk: Desk, command: Command) -> Answer:
    """6A88: no such key version; 6983: its tries are used up; 6985: its sequence counter is at its end."""
    desk.session.end_channel()
    if command.p2:
        return SW.WRONG_P1P2
    if len(command.data) != CHALLENGE_SIZE:
        return SW.WRONG_LENGTH
    owner = key_owner(desk.state, desk.session.domain)
    versions = desk.state.versions(owner)
    version = command.p1 or (versions[0] if versions else 0)
    keys = desk.state.key_set(owner, version)
    if keys is None:
        return SW.KEY_NOT_FOUND
    use = desk.state.use(owner, version)
    if use.failures >= TRIES:
        return SW.KEY_BLOCKED
    open_channel = _open_scp03 if is_aes(keys) else _open_scp02
    return open_channel(desk, keys, use, command.data)


def _open_scp02(desk: Desk, keys: KeySet, use: Use, host: bytes) -> Answer:
    if use.sequence >= scp02.SEQUENCE_MAX:
        return SW.CONDITIONS_OF_USE
    i, sequence = desk.state.scp02_i, use.sequence.to_bytes(2, "big")
    drawn = b"" if i & scp02.PSEUDO_RANDOM else desk.random(scp02.CARD_CHALLENGE_SIZE)
    channel = Scp02(keys, sequence, host, drawn)
    challenge = drawn or channel.pseudo_random(desk.session.domain)
    desk.session.opening = Opening(channel, use, scp02.LEVELS)
    return scp02.answer(
        Told(desk.state.told, use.version, 2, i, sequence, challenge, channel.card_cryptogram())
    )


def _open_scp03(desk: Desk, keys: KeySet, use: Use, host: bytes) -> Answer:
    i, sequence = desk.state.scp03_i, b""
    if i & scp03.PSEUDO_RANDOM:
        if use.sequence >= scp03.SEQUENCE_MAX:
            return SW.CONDITIONS_OF_USE
        use = replace(use, sequence=use.sequence + 1)
        word = desk.keep(desk.state.used(use))
        if word != SW.OK:
            return word
        sequence = use.sequence.to_bytes(scp03.SEQUENCE_SIZE, "big")
        challenge = scp03.pseudo_random(keys, sequence, desk.session.domain)
    else:
        challenge = desk.random(CHALLENGE_SIZE)
    channel = Scp03(keys, host, challenge)
    desk.session.opening = Opening(channel, use, scp03.levels(i))
    return scp03.answer(
        Told(desk.state.told, use.version, 3, i, sequence, challenge, channel.card_cryptogram())
    )


def external_authenticate(desk: Desk, command: Command) -> Answer:
    """6985: no INITIALIZE UPDATE before; 6300: the host's cryptogram is wrong; 6982: its MAC is."""
    opening = desk.session.opening
    desk.session.end_channel()
    if opening is None:
        return SW.CONDITIONS_OF_USE
    if command.p2 or command.p1 not in opening.levels:
        return SW.WRONG_P1P2
    if len(command.data) != CRYPTOGRAM_SIZE + MAC_SIZE:
        return SW.WRONG_LENGTH
    channel, use = opening.channel, opening.use
    word = desk.keep(desk.state.used(replace(use, failures=use.failures + 1)))
    if word != SW.OK:
        return word
    cryptogram, mac = command.data[:CRYPTOGRAM_SIZE], command.data[CRYPTOGRAM_SIZE:]
    if not same(cryptogram, channel.host_cryptogram()):
        return CRYPTOGRAM_WRONG
    if not same(mac, channel.mac(command, cryptogram)):
        return SW.SECURITY_STATUS
    word = desk.keep(_authenticated(desk.state, channel, use))
    if word == SW.OK:
        channel.level = command.p1
        desk.session.channel = channel
    return word


def _authenticated(state: State, channel: Channel, use: Use) -> State:
    """The tries are whole again; SCP02 counts its sessions here, SCP03 its challenges before."""
    step = 1 if isinstance(channel, Scp02) else 0
    return state.used(replace(use, failures=0, sequence=use.sequence + step))
