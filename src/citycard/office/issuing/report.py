# SPDX-License-Identifier: Apache-2.0
"""The report of a personalisation run, told by its journal: counts, rejects with reasons, what is left."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from citycard.core.crypto import SUITES
from citycard.keys.durable import replace_file
from citycard.keys.perso_file import PersoHead
from citycard.office.issuing.journal import REJECTED, STOCKED, Told

REPORT_JSON, REPORT_TEXT = "report.json", "report.txt"
TEXT: Final = (
    ("Order 订单", "order"),
    ("Issuer 发卡机构", "issuer"),
    ("Profile 卡型", "profile"),
    ("Keys 密钥", "keys"),
    ("Data 数据摘要", "data"),
    ("Ordered 订购", "ordered"),
    ("In stock 入库", "good"),
    ("Rejected 废卡", "rejected"),
    ("Left 未制", "left"),
    ("Chips put aside 弃用芯片", "chips_refused"),
    ("Runs 运行次数", "runs"),
)


@dataclass(frozen=True, slots=True)
class Report:
    """Counts add up: ordered = good + rejected + left. `rejects` are (number, chip, reason)."""

    order: str
    issuer: str
    profile: str
    keys: str
    data: str
    ordered: int
    good: int
    rejected: int
    left: int
    chips_refused: int
    runs: int
    rejects: tuple[tuple[str, str, str], ...]
    refusals: tuple[tuple[str, str], ...]

    @property
    def complete(self) -> bool:
        """Whether every number has come to an end."""
        return self.left == 0

    def to_plain(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return asdict(self) | {"complete": self.complete}

    def text(self) -> str:
        """For people."""
        width = max(len(title) for title, _ in TEXT)
        lines = [f"{title:<{width}}  {getattr(self, name)}" for title, name in TEXT]
        lines += [f"  {pan}  chip {uid}: {why}" for pan, uid, why in self.rejects]
        lines += [f"  chip {uid} put aside: {why}" for uid, why in self.refusals]
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> None:
        """Both forms, beside the journal."""
        said = json.dumps(self.to_plain(), ensure_ascii=False, indent=1)
        replace_file(folder / REPORT_JSON, said.encode())
        replace_file(folder / REPORT_TEXT, self.text().encode())


def report_of(head: PersoHead, digest: str, told: Told) -> Report:
    """The report of an order as its journal stands."""
    steps = Counter(state.step for state in told.cards.values())
    rejects = [(pan, one.uid, one.why) for pan, one in told.cards.items() if one.step == REJECTED]
    return Report(
        order=head.order,
        issuer=head.issuer,
        profile=head.profile,
        keys=f"{SUITES[head.algorithm].name} version {head.key_version}",
        data=digest,
        ordered=head.count,
        good=steps[STOCKED],
        rejected=steps[REJECTED],
        left=head.count - steps[STOCKED] - steps[REJECTED],
        chips_refused=len(told.refused),
        runs=told.runs + 1,
        rejects=tuple(rejects),
        refusals=tuple(told.refused),
    )
