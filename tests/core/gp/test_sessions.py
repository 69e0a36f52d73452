# SPDX-License-Identifier: Apache-2.0
"""The published sessions of SCP02 and SCP03, from both ends, byte for byte."""

from __future__ import annotations

import pytest

from citycard.core.apdu import Command
from citycard.core.gp import scp02, scp03
from citycard.core.gp.channel import Channel, authentication
from citycard.core.gp.keys import Diversification, KeySet, diversified
from citycard.core.gp.scp02 import Scp02
from citycard.core.gp.scp03 import Scp03
from tests.core.gp import published

EUICC_DOMAIN = bytes.fromhex(
    "A0000005591010FFFFFFFF8900000100"
)  # whose card the SCP03 sessions were held with


def command(text: str) -> Command:
    return Command.decode(bytes.fromhex(text))


def wire(plain: Command) -> str:
    return plain.encode().hex().upper()


def begin(host: Channel, card: Channel, published_proof: str) -> None:
    """EXTERNAL AUTHENTICATE as published, seen from both ends."""
    level = int(published_proof[4:6], 16)
    proof = authentication(host, level)
    assert wire(proof) == published_proof
    assert proof.data == card.host_cryptogram() + card.mac(proof, proof.data[:8])
    host.level = card.level = level


def test_the_published_scp02_session() -> None:
    told = scp02.parse(published.SCP02_ANSWER)
    assert told is not None
    assert scp02.answer(told) == published.SCP02_ANSWER
    host, card = (
        Scp02(published.SCP02_KEYS, told.sequence, published.SCP02_HOST, told.challenge) for _ in range(2)
    )
    assert tuple(key.hex().upper() for key in host.session_keys) == published.SCP02_SESSION
    assert card.card_cryptogram() == told.cryptogram
    begin(host, card, published.SCP02_AUTHENTICATE)
    for plain, wrapped in published.SCP02_COMMANDS:
        assert wire(host.wrap(command(plain))) == wrapped
        assert card.unwrap(command(wrapped)) == command(plain)


@pytest.mark.parametrize(
    "session", published.SCP03, ids=[f"AES-{s.size * 8} {s.authenticate[4:6]}" for s in published.SCP03]
)
def test_a_published_scp03_session(session: published.Session) -> None:
    keys, update = published.keyset(session.size), command(session.update)
    told = scp03.parse(bytes.fromhex(session.told))
    assert told is not None
    assert scp03.answer(told).hex().upper() == session.told
    assert scp03.pseudo_random(keys, told.sequence, EUICC_DOMAIN) == told.challenge
    host, card = Scp03(keys, update.data, told.challenge), Scp03(keys, update.data, told.challenge)
    assert card.card_cryptogram() == told.cryptogram
    begin(host, card, session.authenticate)
    assert host.level in scp03.levels(told.i)
    assert wire(host.wrap(command(published.STORE))) == session.store
    assert card.unwrap(command(session.store)) == command(published.STORE)
    answer = bytes.fromhex(session.stored)
    assert card.seal_answer(bytes.fromhex(published.STORE_ANSWER), 0x9000) == answer
    assert host.open_answer(answer, 0x9000) == bytes.fromhex(published.STORE_ANSWER)
    for plain, wrapped in zip(published.PLAIN, session.wrapped, strict=True):
        assert wire(host.wrap(command(plain))) == wrapped
        assert card.unwrap(command(wrapped)) == command(plain)


def test_published_check_values_and_what_a_key_set_shows() -> None:
    assert [value.hex().upper() for value in published.keyset(16).check_values] == [
        "C35280",
        "013808",
        "840DE5",
    ]
    shown = repr(published.keyset(16))
    assert shown == "<AES key set C35280 013808 840DE5>"
    assert "0405060708" not in repr(published.SCP02_KEYS)
    with pytest.raises(ValueError, match="three"):
        KeySet(bytes(16), bytes(24), bytes(16), 0x88)


def test_diversification_takes_the_bytes_its_scheme_names() -> None:
    """No vector is published with the facts: the schemes are told apart by which bytes they depend on."""
    master, told = KeySet.single(bytes.fromhex("404142434445464748494A4B4C4D4E4F")), bytes(range(10))
    assert diversified(master, told, Diversification.NONE) is master
    depends = {}
    for scheme in (Diversification.VISA2, Diversification.EMV):
        own = diversified(master, told, scheme)
        assert len({*own.keys}) == 3
        changed = (told[:at] + bytes((told[at] ^ 1,)) + told[at + 1 :] for at in range(10))
        depends[scheme] = [
            at for at, other in enumerate(changed) if diversified(master, other, scheme) != own
        ]
    assert depends == {Diversification.VISA2: [0, 1, 4, 5, 6, 7], Diversification.EMV: [4, 5, 6, 7, 8, 9]}
