# SPDX-License-Identifier: Apache-2.0
"""What a scheme may set about clearing, and the ports a run is given from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from citycard.core.money import check_fen
from citycard.services.contract import Place, Weights

LIMIT_FEN: Final = 100_000  # a thousand yuan: the most a transit purse holds in the field
ALL: Final = "all"
EXCEPTIONS: Final = "exceptions"
LOAD_SERVICE: Final = 0  # a contract row for service 0 sets the retailer's commission on loads

# (issuer, pan, key version, algorithm, kind, txn, amount, terminal, terminal txn, moment, counter,
#  balance after, tac): see `citycard.keys.vault.TacRow`, which the vault's checker understands.
TacTuple = tuple[bytes, str, int, int, int, int, int, bytes, int, bytes, int, int, bytes]
TacChecker = Callable[[Iterable[TacTuple]], list[bool]]
Sharing = Callable[[int, int, Place, Mapping[int, str]], Weights]  # service, tariff version, place, lines
Checkpoint = Callable[[str], None]  # called between and inside steps; a test may make it raise
Progress = Callable[[str, float], None]  # name of the step, part of the run that is done (0 to 1)


@dataclass(frozen=True, slots=True)
class Rules:
    """A scheme's own settings for clearing.

    `limits_fen` is the largest single purchase of a service, by code; services not named have
    `limit_fen`. `load_limit_fen` is the largest load. `accept_unexplained` says what becomes of a tap whose
    balance was never explained when its window ends: its TAC proves the debit, so by default the acquirer
    is paid and the issuer, whose card it is, looks for the cause; False rejects it instead.
    `verdicts_to_office`: `all`, or of a city too large for that `exceptions`: what is suspended or rejected,
    with totals of the rest; accepted taps and movements of cards then stay in the lake.
    """

    limits_fen: Mapping[int, int] = field(default_factory=dict)
    limit_fen: int = LIMIT_FEN
    load_limit_fen: int = LIMIT_FEN
    accept_unexplained: bool = True
    verdicts_to_office: str = ALL
    sheets: bool = True  # statements as XLSX beside the CSV
    sharing: Sharing | None = None  # how operators divide fares; None: by network, else by tariff

    def __post_init__(self) -> None:
        for amount in (self.limit_fen, self.load_limit_fen, *self.limits_fen.values()):
            check_fen(amount, "limit")
        if self.verdicts_to_office not in (ALL, EXCEPTIONS):
            raise ValueError(f"verdicts_to_office is {ALL!r} or {EXCEPTIONS!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did. Amounts are fen; `seconds` is the time of each step, in order.

    `verdicts` counts taps by verdict, `reasons` by reason code; a tap suspended earlier and looked at again
    is counted again. `duplicates` are in `verdicts` and `reasons` but their money is in no sum.
    """

    settle_on: str
    batches: int
    taps: int
    verdicts: Mapping[str, int]
    reasons: Mapping[str, int]
    charged_fen: int  # accepted purchases
    loaded_fen: int  # accepted loads
    suspended_fen: int  # purchases now waiting
    rejected_fen: int  # purchases rejected, repeats not counted
    positions_sum_fen: int
    participants: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    repeated: bool = False  # the date was closed already: nothing was done

    def to_plain(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        names = self.__slots__
        plain = {name: getattr(self, name) for name in names}
        return {key: dict(value) if isinstance(value, Mapping) else value for key, value in plain.items()}
