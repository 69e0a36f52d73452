# SPDX-License-Identifier: Apache-2.0
"""The vault port: where the keys of a scheme live, and all that may be asked of them.

A key goes in or is made inside and never comes out: every method gives MACs, cryptograms, wrapped keys or
check values, so that a PKCS#11 token can stand behind the same port. A key is known by name, version and
suite. `version` is what a card tells in its INIT answer, `suite` the algorithm id it tells there (0 3DES,
1 SM4); where `suite` is left out, the key of that version with the lowest algorithm id is meant.

Each name has its usage, and asking anything else of it is refused: the purchase key makes no TAC.
Names and levels: card facts 2.1 and 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from citycard.core.crypto import SUITES, Suite
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.keys.tac import CardBatch, CardKeys, TacVerifier

VERSION_MAX: Final = 0xFF  # one byte in the card's answer

VAULT_PASSPHRASE = declare(
    "VAULT_PASSPHRASE",
    "The passphrase does not open the vault {path}. Check CITYCARD_PASSPHRASE or type it again.",
    "口令无法打开密钥库 {path}，请检查 CITYCARD_PASSPHRASE 或重新输入。",
)
VAULT_PASSPHRASE_EMPTY = declare(
    "VAULT_PASSPHRASE_EMPTY",
    "A vault needs a passphrase, and the one given is empty.",
    "密钥库必须有口令，给出的口令为空。",
)
VAULT_DAMAGED = declare(
    "VAULT_DAMAGED",
    "The vault {path} is damaged or is no vault file: {what}. Restore it from its backup.",
    "密钥库 {path} 已损坏或不是密钥库文件（{what}），请从备份恢复。",
)
VAULT_VERSION = declare(
    "VAULT_VERSION",
    "The vault {path} has format version {found}; this citycard reads up to {known}. Use a newer citycard.",
    "密钥库 {path} 的格式版本为 {found}，本程序只支持到 {known}，请升级 citycard。",
)
VAULT_MISSING = declare(
    "VAULT_MISSING",
    "There is no vault at {path}. Make one with `citycard keys init`.",
    "{path} 处没有密钥库，请用 `citycard keys init` 建立。",
)
VAULT_EXISTS = declare(
    "VAULT_EXISTS",
    "There is a vault at {path} already; it is left as it is. Choose another folder with --home.",
    "{path} 处已有密钥库，未作改动；请用 --home 选择其他目录。",
)
VAULT_UNREADABLE = declare(
    "VAULT_UNREADABLE",
    "The vault {path} cannot be read or written: {why}.",
    "无法读写密钥库 {path}：{why}。",
)
VAULT_CHANGED = declare(
    "VAULT_CHANGED",
    "The vault {path} was changed by another program since it was opened; nothing was written. Try again.",
    "密钥库 {path} 打开后已被其他程序修改，本次未写入，请重试。",
)
VAULT_SEALED = declare(
    "VAULT_SEALED",
    "This security module holds its keys for use only; keys are made and changed in the vault.",
    "该安全模块只能使用密钥，密钥的生成和变更须在密钥库中进行。",
)
KEY_MISSING = declare(
    "KEY_MISSING",
    "There is no key {name} version {version} ({suite}) here. `citycard keys list` shows the keys there are.",
    "没有密钥 {name} 版本 {version}（{suite}），可用 `citycard keys list` 查看现有密钥。",
)
KEY_NAME = declare(
    "KEY_NAME",
    "There is no kind of key called {name}; the kinds are {names}.",
    "没有名为 {name} 的密钥种类，可用的有 {names}。",
)
KEY_EXISTS = declare(
    "KEY_EXISTS",
    "The key {name} version {version} ({suite}) exists already; choose the next version.",
    "密钥 {name} 版本 {version}（{suite}）已存在，请使用下一个版本号。",
)
KEY_USAGE = declare(
    "KEY_USAGE",
    "The key {name} may not be used for {usage}.",
    "密钥 {name} 不得用于 {usage}。",
)
KEY_RETIRED = declare(
    "KEY_RETIRED",
    "The key {name} version {version} ({suite}) is not in force on {at}; new cards need one that is.",
    "密钥 {name} 版本 {version}（{suite}）在 {at} 不在有效期内，新卡须使用有效的密钥。",
)
KEY_INVALID = declare(
    "KEY_INVALID",
    "The key {name} cannot be taken: {why}.",
    "无法使用密钥 {name}：{why}。",
)


class Usage(Enum):
    """What may be done with a key."""

    SESSION = "session MACs"
    TAC = "transaction authorisation codes"
    MESSAGE = "message MACs"
    AUTHENTICATE = "external authentication"
    WRAP = "wrapping other keys"
    LOAD_INTO_CARD = "loading into a card"


class KeyName(StrEnum):
    """The root keys of a scheme; the card's key under each is named after the arrow."""

    PURCHASE = "purchase"  # MPK -> DPK, 消费
    LOAD = "load"  # MLK -> DLK, 圈存
    TAC = "tac"  # MTK -> DTK, 交易验证码
    MAINTENANCE = "maintenance"  # MAMK -> DAMK, 应用维护
    CONTROL = "control"  # MCK -> CCK, 主控
    BATCH = "batch"  # MBK -> a terminal's batch MAC key
    TRANSPORT = "transport"  # what the card maker left in the blank cards; imported, never generated


USAGES: Final[dict[KeyName, frozenset[Usage]]] = {
    KeyName.PURCHASE: frozenset({Usage.SESSION, Usage.LOAD_INTO_CARD}),
    KeyName.LOAD: frozenset({Usage.SESSION, Usage.LOAD_INTO_CARD}),
    KeyName.TAC: frozenset({Usage.TAC, Usage.LOAD_INTO_CARD}),
    KeyName.MAINTENANCE: frozenset({Usage.MESSAGE, Usage.LOAD_INTO_CARD}),
    KeyName.CONTROL: frozenset({Usage.AUTHENTICATE, Usage.MESSAGE, Usage.WRAP, Usage.LOAD_INTO_CARD}),
    KeyName.BATCH: frozenset({Usage.MESSAGE}),
    KeyName.TRANSPORT: frozenset({Usage.AUTHENTICATE, Usage.MESSAGE, Usage.WRAP}),
}


class KeyRef(NamedTuple):
    """The address of a derived key; a plain tuple (name, version, factors) serves as well."""

    name: str
    version: int = 1
    factors: Sequence[bytes] = ()
    suite: int | None = None


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """All that is ever told of a key. `check_value` is six hex digits."""

    name: str
    version: int
    suite: int
    check_value: str
    created: datetime
    not_before: datetime | None = None
    not_after: datetime | None = None

    @property
    def suite_name(self) -> str:
        """`3DES` or `SM4`."""
        return SUITES[self.suite].name

    def in_force(self, at: datetime) -> bool:
        """Whether new cards may get this key at that moment; old cards are served for ever."""
        return (self.not_before is None or self.not_before <= at) and (
            self.not_after is None or at < self.not_after
        )


class TacRow(NamedTuple):
    """One record's TAC and what it covers; `kind` as `core.record.Kind`, `moment` seven BCD bytes.

    `balance_after_fen` counts for loads only.
    """

    issuer: bytes
    pan: str
    key_version: int
    algorithm: int
    kind: int
    txn: int
    amount_fen: int
    terminal: bytes
    terminal_txn: int
    moment: bytes
    counter: int
    balance_after_fen: int
    tac: bytes


TacTuple = tuple[bytes, str, int, int, int, int, int, bytes, int, bytes, int, int, bytes]
TacChecker = Callable[[Iterable[TacRow | TacTuple]], list[bool]]
SuiteChoice = int | Suite


class Session(Protocol):
    """A purse session: MACs under one session key, for one thread at a time."""

    def mac(self, message: bytes) -> bytes:
        """The 4-byte MAC1, MAC2 or MAC3 of a message."""
        ...


class Vault(Protocol):
    """The port. Problems: KEY_MISSING, KEY_NAME, KEY_USAGE and those named; `ValueError` for wrong sizes."""

    def generate(
        self,
        name: str,
        suite: SuiteChoice,
        version: int = 1,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> KeyInfo:
        """Make a root key inside. KEY_EXISTS, VAULT_SEALED."""
        ...

    def import_key(self, name: str, suite: SuiteChoice, version: int, key: bytes) -> KeyInfo:
        """Take in a key made elsewhere (16 bytes), such as a card maker's transport key. KEY_EXISTS."""
        ...

    def retire(self, name: str, version: int, not_after: datetime, *, suite: int | None = None) -> KeyInfo:
        """From that moment no new card gets this key; cards that have it are served on."""
        ...

    def keys(self) -> list[KeyInfo]:
        """What is there, ordered by name, version and suite."""
        ...

    def current(self, name: str, at: datetime, *, suite: int | None = None) -> KeyInfo:
        """The newest version in force at a moment: the one new cards get. KEY_MISSING."""
        ...

    def only(self, *names: str) -> Vault:
        """A sealed vault with copies of these keys alone: what a security module of one role is given."""
        ...

    def session(
        self, name: str, version: int, factors: Sequence[bytes], variable: bytes, *, suite: int | None = None
    ) -> Session:
        """A session under the derived key; `variable` is 8 bytes (core.purse). Names: purchase, load."""
        ...

    def tac(
        self, name: str, version: int, factors: Sequence[bytes], message: bytes, *, suite: int | None = None
    ) -> bytes:
        """The 4-byte TAC of a message. Name: tac."""
        ...

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
        """Secure-messaging MAC (facts 1.7) of 4 or 8 bytes. Names: maintenance, control, transport, batch."""
        ...

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
        """Cipher and 4-byte MAC of a protected WRITE KEY that loads a derived key (facts 3.2, 2.7 F, H).

        The plaintext is length, `record_head`, key; `header` is CLA INS P1 P2 with or without Lc;
        `challenge` the card's. A root key (no factors) is never wrapped: KEY_USAGE. KEY_RETIRED.
        """
        ...

    def external_authentication(
        self, name: str, version: int, factors: Sequence[bytes], challenge: bytes, *, suite: int | None = None
    ) -> bytes:
        """The challenge, 00-padded to a block (3DES 8 bytes, SM4 16), enciphered. For control, transport."""
        ...

    def tac_checker(self, name: str = KeyName.TAC) -> TacVerifier:
        """The fast path of clearing: columns of records, or rows, to verdicts in order.

        A record whose key is unknown or whose values do not fit is False, never an error. A vault whose
        TAC keys must not be lent gives `TacVerifier(self, name, sealed=True)`.
        """
        ...

    def card_tac_keys(self, name: str, cards: CardBatch) -> CardKeys:
        """Lend the TAC keys of many cards to the bulk verification, which wipes them after a chunk.

        The one exception to "never comes out", and for TAC keys of cards alone. A security module
        enciphers the factors of each path's cards in one call: `keys.tac.diversify_each` does the rest.
        A path without a key here gives cards that are not `known`. VAULT_SEALED where nothing is lent.
        """
        ...


def key_name(name: str) -> KeyName:
    """The name as a `KeyName`; KEY_NAME when there is none."""
    try:
        return KeyName(name)
    except ValueError:
        raise KEY_NAME(name=name, names=", ".join(KeyName)) from None


def algorithm(suite: SuiteChoice) -> int:
    """The algorithm id of a suite given as itself or by id; KEY_INVALID when unknown."""
    chosen = suite if isinstance(suite, int) else suite.id
    if chosen not in SUITES:
        raise KEY_INVALID(name=f"suite {chosen}", why="the algorithm ids are 0 (3DES) and 1 (SM4)")
    return chosen


def tac_checker(vault: Vault) -> TacVerifier:
    """A function from rows to verdicts in order. See `Vault.tac_checker`."""
    return vault.tac_checker()
