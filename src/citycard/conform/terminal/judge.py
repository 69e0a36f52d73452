# SPDX-License-Identifier: Apache-2.0
"""The judge of a terminal: what the cards truly did against what its records say.

The rules, in this order: the cards made the transactions the scenario wants; each has one record and each
record one transaction; a record tells it as it was; its TAC is the card's and verifies under the issuer's
key; records of a terminal are numbered without gaps and come once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from citycard.conform.keyring import Keyring
from citycard.conform.model import Failed
from citycard.conform.terminal.played import Commit
from citycard.conform.terminal.scenarios import Scenario
from citycard.core import purse
from citycard.core.purse import LOADS
from citycard.core.record import Kind, TapRecord
from citycard.keys import Vault, card_factors


def judge(
    scenario: Scenario,
    pans: Sequence[str],
    commits: Sequence[Commit],
    records: Iterable[TapRecord],
    vault: Vault,
) -> None:
    """Raise `Failed` with the first rule that was broken; `records` may hold other scenarios' as well."""
    mine = [record for record in records if record.pan in pans]
    _moved(scenario, pans, commits)
    _one_for_one(commits, mine)
    told = {_key(record): record for record in mine}
    for commit in commits:
        _tells_the_truth(commit, told[commit.key])
        _proves(told[commit.key], vault)


def numbered(records: Iterable[TapRecord]) -> None:
    """Raise `Failed` when a terminal's records are not numbered one by one, or one is there twice."""
    by_terminal: dict[bytes, list[int]] = defaultdict(list)
    for record in records:
        by_terminal[record.terminal].append(record.sequence)
    for terminal, sequences in by_terminal.items():
        ordered = sorted(sequences)
        if ordered != list(range(ordered[0], ordered[0] + len(ordered))):
            raise Failed(
                f"records of terminal {terminal.hex()} are numbered {ordered[:8]}...: gaps or doubles",
                f"终端 {terminal.hex()} 的流水号 {ordered[:8]}… 不连续或重复",
            )


def _key(record: TapRecord) -> tuple[str, bool, int]:
    return record.pan, record.kind == Kind.LOAD, record.counter


def _moved(scenario: Scenario, pans: Sequence[str], commits: Sequence[Commit]) -> None:
    for pan, wanted in zip(pans, scenario.amounts, strict=True):
        made = tuple(commit.amount_fen for commit in commits if commit.pan == pan)
        if made != wanted:
            raise Failed(
                f"card {pan} made transactions of {list(made)} fen, expected {list(wanted)}",
                f"卡片 {pan} 实际交易 {list(made)} 分，应为 {list(wanted)} 分",
            )


def _one_for_one(commits: Sequence[Commit], records: Sequence[TapRecord]) -> None:
    made, told = Counter(commit.key for commit in commits), Counter(_key(record) for record in records)
    for key, count in told.items():
        if key not in made:
            raise Failed(f"record of card {key[0]}, counter {key[2]}: the card made no such transaction",
                         f"卡片 {key[0]} 计数器 {key[2]} 的记录没有对应交易")  # fmt: skip
        if count > 1:
            raise Failed(f"card {key[0]}, counter {key[2]}: {count} records of one transaction",
                         f"卡片 {key[0]} 计数器 {key[2]}：同一交易有 {count} 条记录")  # fmt: skip
    for key in made:
        if key not in told:
            raise Failed(f"card {key[0]}, counter {key[2]}: a transaction, and no record of it",
                         f"卡片 {key[0]} 计数器 {key[2]}：已交易但没有记录")  # fmt: skip


def _tells_the_truth(commit: Commit, record: TapRecord) -> None:
    rows = (
        ("amount", commit.amount_fen, record.amount_fen),
        ("transaction type", commit.txn, record.txn),
        ("balance before", commit.balance_before_fen, record.balance_before_fen),
        ("terminal", commit.terminal, record.terminal.hex()),
        ("moment", commit.moment, record.moment.hex()),
        ("terminal transaction number", commit.number, record.terminal_txn),
        ("TAC", commit.tac, record.tac.hex()),
    )
    for name, true, told in rows:
        if true != told:
            raise Failed(
                f"{name}: the card says {true}, the record {told}", f"{name}：卡片为 {true}，记录为 {told}"
            )


def _proves(record: TapRecord, vault: Vault) -> None:
    """The TAC under the issuer's key, over what the record says."""
    keys = Keyring(vault, card_factors(record.issuer, record.pan))
    if record.txn in LOADS:
        after_fen = record.balance_before_fen + record.amount_fen
        covered = purse.load_tac(
            after_fen, record.counter, record.amount_fen, record.txn, record.terminal, record.moment
        )
    else:
        covered = purse.purchase_tac(
            record.amount_fen, record.txn, record.terminal, record.terminal_txn, record.moment
        )
    if keys.tac(record.key_version, record.algorithm, covered) != record.tac:
        raise Failed("the record's TAC does not verify", "记录的 TAC 验证失败")
