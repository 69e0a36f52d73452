# SPDX-License-Identifier: Apache-2.0
"""The vault behind a PKCS#11 token: the root keys are made in the token and never leave it.

In the token: every root key of 3DES and the storage key, not extractable; diversification down to the
issuer, session keys and their MACs, message MACs, external authentication, the enciphering of card keys.
Outside, because tokens have no mechanism for it (`notices` says so at start-up):

- TOKEN_CARD_KEYS: the key of one card is in memory while it is wrapped into a WRITE KEY, and a TAC key while
  its halves are folded. In tac mode `bulk` the TAC keys of the cards being checked stay in memory for the
  run; in `sealed` each goes back into the token as a session key and every TAC is computed there.
- TOKEN_SM4: tokens without SM4 keep SM4 keys as private data objects, enciphered under the storage key;
  they are opened in memory for use.

The token alone is enough: name, version, suite, dates and check value stand in each object's label and id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from citycard.core.crypto import FACTOR_SIZE, SUITES, TRIPLE_DES, Suite, pad80, xor
from citycard.core.problem import Problem, declare
from citycard.keys import vault as port
from citycard.keys.chain import Chain, folded, tac_chain
from citycard.keys.hierarchy import DERIVED_MAX, KeyId, checked
from citycard.keys.memory_vault import SIZES, Clock, Held, Keys, MemoryVault, PurseSession, refuse_transport
from citycard.keys.memory_vault import _iv as checked_iv
from citycard.keys.memory_vault import _permit as permit
from citycard.keys.pkcs11_objects import (
    FOLD,
    FORMAT,
    LEFT,
    STORAGE,
    UNFINISHED,
    Root,
    check_value,
    checked_info,
    id_of,
    label_of,
    meta_of,
    opened,
    root_of,
)  # fmt: skip
from citycard.keys.pkcs11_token import Token, TokenKey, open_token
from citycard.keys.secret import KeyBytes
from citycard.keys.vault import KeyInfo, KeyName, KeyRef, SuiteChoice, Usage
from citycard.keys.wrapping import write_key

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

    from citycard.keys.tac import CardBatch, CardKeys, KeyPath, TacVerifier

TacMode = Literal["bulk", "sealed"]

TOKEN_ROOT = declare(
    "TOKEN_ROOT",
    "The root key {name} version {version} was made in the token and works through the keys below it; name "
    "the factors of an issuer, card or terminal.",
    "根密钥 {name} 版本 {version} 在令牌内生成，只能通过其下级密钥使用；请给出机构、卡片或终端的分散因子。",
)
TOKEN_CARD_KEYS = declare(
    "TOKEN_CARD_KEYS",
    "Outside the token: a card's key while it is wrapped, and TAC keys (mode {mode}). Root keys never leave.",
    "在令牌之外处理：写卡时的单张卡密钥，以及 TAC 密钥（{mode} 模式）。根密钥不出令牌。",
)
TOKEN_SM4 = declare(
    "TOKEN_SM4",
    "The token {token} has no SM4: the SM4 keys are kept in it enciphered, and opened in memory for use.",
    "令牌 {token} 不支持 SM4：SM4 密钥加密存于令牌，使用时在内存中解密。",
)


class Node:
    """A derived key in the token; the single-DES key of its left half is derived when first needed."""

    __slots__ = ("_factor", "_left", "_parent", "_token", "key")

    def __init__(self, token: Token, parent: TokenKey, factor: bytes) -> None:
        self._token, self._parent, self._factor = token, parent, factor
        self._left: TokenKey | None = None
        self.key = token.derive(parent, both(factor))

    @property
    def left(self) -> TokenKey:
        """K K K of the left half, which is the factor enciphered by the parent."""
        if self._left is None:
            self._left = self._token.derive(self._parent, self._factor * 3)
        return self._left


class TokenChain:
    """MACs under a single-DES key in the token; see `chain.Chain`."""

    def __init__(self, token: Token, key: TokenKey) -> None:
        self._token, self._key = token, key

    def mac(self, message: bytes) -> bytes:
        """The 4-byte MAC of a message."""
        return self._token.cbc(self._key, pad80(message))[:4]

    def __repr__(self) -> str:
        return "<chain in the token>"


class Pkcs11Vault(MemoryVault):
    """A `Vault` in a token; made by `open`. What it holds in memory is SM4."""

    def __init__(
        self,
        token: Token,
        held: Keys,
        roots: dict[KeyId, Root],
        storage: TokenKey,
        *,
        clock: Clock,
        sealed: bool = False,
        tac_mode: TacMode = "bulk",
    ) -> None:
        super().__init__(clock=clock, random=token.random, held=held, sealed=sealed)
        self._token = token
        self._roots = roots
        self._storage_key = storage
        self._tac_mode: TacMode = tac_mode
        self._node = self._nodes()

    @classmethod
    def open(
        cls,
        module: str,
        label: str,
        pin: str,
        *,
        clock: Clock = datetime.now,
        tac_mode: TacMode = "bulk",
    ) -> Pkcs11Vault:
        """The vault on that token, empty when it is new.

        TOKEN_LIBRARY, _MODULE, _MISSING, _PIN, _PIN_LOCKED, _MECHANISM, _ALTERED, _REMOVED, _FAULT.
        """
        secret = KeyBytes(pin.encode("utf-8", "surrogateescape"))
        del pin
        token = open_token(module, label, secret)
        found = {one.label: one for one in token.objects()}
        storage = (
            TokenKey(token, found[STORAGE].handle, lasting=True)
            if STORAGE in found
            else token.generate_aes(STORAGE, FORMAT)
        )
        held: dict[KeyId, Held] = {}
        roots: dict[KeyId, Root] = {}
        for one in found.values():
            key_id = id_of(one.label)
            if key_id is None:
                continue
            if one.is_key:
                roots[key_id] = root_of(token, one, found)
                held[key_id] = Held(checked_info(token, one, key_id, roots[key_id]), KeyBytes())
            else:
                held[key_id] = opened(token, one, key_id, storage)
        return cls(token, held, roots, storage, clock=clock, tac_mode=tac_mode)

    def close(self) -> None:
        """End the session with the token."""
        self._token.close()

    def notices(self) -> list[Problem]:
        """See `Vault`."""
        said = [TOKEN_CARD_KEYS(mode=self._tac_mode)]
        if any(suite != TRIPLE_DES.id for _, _, suite in self._held):
            said.append(TOKEN_SM4(token=self._token.label))
        return said

    def generate(
        self,
        name: str,
        suite: SuiteChoice,
        version: int = 1,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> KeyInfo:
        """Make a root key in the token; see `Vault`."""
        key_id = self._new_id(name, suite, version)
        refuse_transport(name)
        if key_id[2] != TRIPLE_DES.id:
            return super().generate(name, suite, version, not_before, not_after)
        self._refuse_present(key_id)
        bare = self._info(key_id, UNFINISHED.hex(), not_before, not_after)
        key = self._token.generate_des2(label_of(key_id), meta_of(bare))
        info = replace(bare, check_value=check_value(self._token, key))
        self._token.set_meta(key, meta_of(info))
        self._hold(key_id, info, Root(key))
        return info

    def _add(
        self,
        name: str,
        suite: SuiteChoice,
        version: int,
        key: KeyBytes,
        not_before: datetime | None,
        not_after: datetime | None,
    ) -> KeyInfo:
        key_id = self._new_id(name, suite, version)
        if key_id[2] != TRIPLE_DES.id:
            return super()._add(name, suite, version, key, not_before, not_after)
        self._refuse_present(key_id)
        info = self._info(key_id, TRIPLE_DES.check_value(key).hex().upper(), not_before, not_after)
        # Helpers first: a key without them would look as if it had been made inside.
        left = self._token.import_des(key[:8] * 3, label_of(key_id, LEFT), FORMAT)
        fold = None
        if name == KeyName.TAC:
            fold = self._token.import_des(folded(key) * 3, label_of(key_id, FOLD), FORMAT)
        self._hold(
            key_id, info, Root(self._token.import_des(key, label_of(key_id), meta_of(info)), left, fold)
        )
        return info

    def _hold(self, key_id: KeyId, info: KeyInfo, root: Root) -> None:
        self._roots[key_id] = root
        self._held = {**self._held, key_id: Held(info, KeyBytes())}

    def _refuse_present(self, key_id: KeyId) -> None:
        """Another program may have made it since this vault was opened."""
        if self._token.has(label_of(key_id)):
            raise port.KEY_EXISTS(name=key_id[0], version=key_id[1], suite=SUITES[key_id[2]].name)

    def _replace(self, held: Keys) -> None:
        """Write what is new, changed or gone to the token."""
        if self._sealed:
            raise port.VAULT_SEALED()
        before = self._held
        for key_id in before.keys() - held.keys():
            for label in (label_of(key_id), label_of(key_id, LEFT), label_of(key_id, FOLD)):
                self._token.remove(label)
            self._roots.pop(key_id, None)
            self._node.cache_clear()
        for key_id, one in held.items():
            if key_id in before and before[key_id].info == one.info:
                continue
            if key_id in self._roots:
                self._token.set_meta(self._roots[key_id].key, meta_of(one.info))
            else:
                self._store(key_id, one, known=key_id in before)
        super()._replace(held)

    def _store(self, key_id: KeyId, one: Held, *, known: bool) -> None:
        """An SM4 key as a data object; the old object of a changed one goes when the new one is there."""
        label, meta = label_of(key_id), meta_of(one.info)
        if not known:
            self._refuse_present(key_id)
        blob = self._token.seal(self._storage_key, one.key, label.encode() + meta)
        if known:
            self._token.remove(label)
        self._token.store(label, meta, blob)

    def only(self, *names: str) -> Pkcs11Vault:
        """See `Vault`: the same token, fewer of its keys."""
        wanted = {port.key_name(name).value for name in names}
        return Pkcs11Vault(
            self._token,
            {key_id: one for key_id, one in self._held.items() if key_id[0] in wanted},
            {key_id: root for key_id, root in self._roots.items() if key_id[0] in wanted},
            self._storage_key,
            clock=self._clock,
            sealed=True,
            tac_mode=self._tac_mode,
        )

    def _branch(self, key_id: KeyId, factors: tuple[bytes, ...]) -> KeyBytes:
        return self._bytes(key_id, factors) if key_id in self._roots else super()._branch(key_id, factors)

    def protect(self, data: bytes, context: bytes) -> bytes:
        """See `Vault`; in the token."""
        if self._sealed:
            raise port.VAULT_SEALED()
        return self._token.seal(self._storage_key, data, context)

    def unprotect(self, blob: bytes, context: bytes) -> bytes:
        """See `Vault`; in the token."""
        data = self._token.unseal(self._storage_key, blob, context)
        if data is None:
            raise port.VAULT_FOREIGN(what=context.decode("ascii", "replace"))
        return data

    def session(
        self, name: str, version: int, factors: Sequence[bytes], variable: bytes, *, suite: int | None = None
    ) -> PurseSession:
        """See `Vault`."""
        place = self._inside(name, version, factors, suite, Usage.SESSION)
        if place is None:
            return super().session(name, version, factors, variable, suite=suite)
        if len(variable) != FACTOR_SIZE:
            raise ValueError(f"a session variable has {FACTOR_SIZE} bytes, this has {len(variable)}")
        session = self._token.derive(self._at(*place).key, variable * 3)
        return PurseSession(f"{name} version {version}", TokenChain(self._token, session))

    def tac(
        self, name: str, version: int, factors: Sequence[bytes], message: bytes, *, suite: int | None = None
    ) -> bytes:
        """See `Vault`."""
        place = self._inside(name, version, factors, suite, Usage.TAC)
        if place is None:
            return super().tac(name, version, factors, message, suite=suite)
        key_id, path = place
        if path:
            return self._sealed_chain(TRIPLE_DES, self._bytes(key_id, path)).mac(message)
        fold = self._roots[key_id].fold
        if fold is None:
            raise TOKEN_ROOT(name=name, version=version)
        return TokenChain(self._token, fold).mac(message)

    def message_mac(
        self,
        name: str,
        version: int,
        factors: Sequence[bytes],
        message: bytes,
        challenge: bytes,
        *,
        size: int = 4,
        suite: int | None = None,
    ) -> bytes:
        """See `Vault`."""
        place = self._inside(name, version, factors, suite, Usage.MESSAGE)
        if place is None:
            return super().message_mac(name, version, factors, message, challenge, size=size, suite=suite)
        if size not in SIZES:
            raise ValueError(f"a message MAC has 4 or 8 bytes, not {size}")
        return self._message_mac(place, message, checked_iv(TRIPLE_DES, challenge))[:size]

    def wrap_card_key(
        self,
        name: str,
        version: int,
        factors: Sequence[bytes],
        under: KeyRef | tuple[str, int, Sequence[bytes]],
        record_head: bytes,
        header: bytes,
        challenge: bytes,
        *,
        suite: int | None = None,
    ) -> tuple[bytes, bytes]:
        """See `Vault`. The card's key passes through memory, the wrapping key does not."""
        wrap = KeyRef(*under)
        place = self._inside(wrap.name, wrap.version, wrap.factors, wrap.suite, Usage.WRAP)
        if place is None:
            return super().wrap_card_key(
                name, version, factors, under, record_head, header, challenge, suite=suite
            )
        key = self._card_key(name, version, factors, suite)
        plain, head = write_key(TRIPLE_DES.block, record_head, key, header)
        cipher = bytes(self._token.ecb(self._at(*place).key, plain))
        return cipher, self._message_mac(place, head + cipher, checked_iv(TRIPLE_DES, challenge))[:4]

    def external_authentication(
        self, name: str, version: int, factors: Sequence[bytes], challenge: bytes, *, suite: int | None = None
    ) -> bytes:
        """See `Vault`."""
        place = self._inside(name, version, factors, suite, Usage.AUTHENTICATE)
        if place is None:
            return super().external_authentication(name, version, factors, challenge, suite=suite)
        block = checked_iv(TRIPLE_DES, challenge).ljust(TRIPLE_DES.block, b"\x00")
        return bytes(self._token.ecb(self._at(*place).key, block))

    def tac_checker(self, name: str = KeyName.TAC) -> TacVerifier:
        """See `Vault`. In tac mode `sealed` every TAC is made in the token and no key is lent."""
        from citycard.keys.tac import TacVerifier

        permit(name, Usage.TAC)
        return TacVerifier(self, name, sealed=self._tac_mode == "sealed")

    def card_tac_keys(self, name: str, cards: CardBatch) -> CardKeys:
        """See `Vault`. The cards of an issuer are diversified in the token, thousands in one call."""
        from citycard.keys.tac import diversify_each

        permit(name, Usage.TAC)

        def encipher(path: KeyPath, blocks: bytes) -> bytes | None:
            key_id = (str(name), path.version, path.suite)
            if key_id not in self._held:
                return None
            if key_id not in self._roots:
                return SUITES[path.suite].encrypt(self._derive(key_id, checked(path.factors)), blocks)
            return self._token.ecb(self._at(key_id, checked(path.factors)).key, blocks)

        return diversify_each(cards, encipher)

    def _key(
        self, name: str, version: int, factors: Sequence[bytes], suite: int | None, usage: Usage
    ) -> tuple[Suite, KeyBytes]:
        """For what is done in memory: an SM4 key, or a card's key about to be wrapped under one."""
        permit(name, usage)
        key_id = self._key_id(name, version, suite)
        if key_id not in self._roots:
            return super()._key(name, version, factors, suite, usage)
        assert factors
        return TRIPLE_DES, self._bytes(key_id, checked(factors))

    def _inside(
        self, name: str, version: int, factors: Sequence[bytes], suite: int | None, usage: Usage
    ) -> tuple[KeyId, tuple[bytes, ...]] | None:
        """Where in the token a key is; None for one that is used in memory."""
        permit(name, usage)
        key_id = self._key_id(name, version, suite)
        return (key_id, checked(factors)) if key_id in self._roots else None

    def _at(self, key_id: KeyId, factors: tuple[bytes, ...]) -> Root | Node:
        return self._node(key_id, factors) if factors else self._roots[key_id]

    def _nodes(self) -> _lru_cache_wrapper[Node]:
        """Derived keys by id and factors, the last `DERIVED_MAX` of them."""

        @lru_cache(maxsize=DERIVED_MAX)
        def node(key_id: KeyId, factors: tuple[bytes, ...]) -> Node:
            parent = node(key_id, factors[:-1]).key if len(factors) > 1 else self._roots[key_id].key
            return Node(self._token, parent, factors[-1])

        return node

    def _bytes(self, key_id: KeyId, factors: tuple[bytes, ...]) -> KeyBytes:
        """A derived key in memory, exactly as diversification gives it (a token's own has odd parity)."""
        return self._token.ecb(self._at(key_id, factors[:-1]).key, both(factors[-1]))

    def _sealed_chain(self, suite: Suite, key: bytes) -> Chain:
        """TACs in the token: the folded key goes in as a session key."""
        if suite.id != TRIPLE_DES.id:
            return tac_chain(suite, key)
        return TokenChain(self._token, self._token.import_des(KeyBytes(folded(key) * 3)))

    def _message_mac(self, place: tuple[KeyId, tuple[bytes, ...]], message: bytes, challenge: bytes) -> bytes:
        """Retail MAC: single DES under the left half but for the last block, which triple DES closes."""
        at = self._at(*place)
        padded = pad80(message)
        iv = challenge.ljust(TRIPLE_DES.block, b"\x00")
        if len(padded) > TRIPLE_DES.block:
            if at.left is None:
                raise TOKEN_ROOT(name=place[0][0], version=place[0][1])
            iv = self._token.cbc(at.left, padded[:-8], iv)
        return self._token.cbc(at.key, padded[-8:], iv)


def both(factor: bytes) -> bytes:
    """A factor and its complement: what diversification enciphers."""
    return factor + xor(factor, b"\xff" * FACTOR_SIZE)
