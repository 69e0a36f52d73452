# SPDX-License-Identifier: Apache-2.0
"""What participants are sent, and that the figures on it add up."""

from __future__ import annotations

import csv
import io
import time
from datetime import timedelta
from pathlib import Path

import pytest
from openpyxl import load_workbook

from citycard.clearing import Rules
from citycard.clearing.statements import HEADINGS, as_csv, as_xlsx, statement
from tests.clearing.world import BUS, DAY, ISSUER, METRO_TERMINAL, NAMES, World

REVENUE = [
    {
        "participant": ISSUER,
        "service": 1,
        "counterparty": BUS,
        "cause": "fare",
        "taps": 3,
        "amount_fen": -60_001,
    },
    {
        "participant": ISSUER,
        "service": 1,
        "counterparty": BUS,
        "cause": "issuer_fee",
        "taps": 3,
        "amount_fen": 7,
    },
    {"participant": ISSUER, "service": 9, "counterparty": BUS, "cause": "fare", "taps": 1, "amount_fen": -5},
    {
        "participant": BUS,
        "service": 1,
        "counterparty": ISSUER,
        "cause": "fare",
        "taps": 3,
        "amount_fen": 60_001,
    },
]
TITLES = {who: names[:2] for who, names in NAMES.items()}
SENT = """
Bus 公交 | 11000000000000b1 | Bus 公交公司 | Fares 票款 | 3 | 0.00 | 600.01 | -600.01
Bus 公交 | 11000000000000b1 | Bus 公交公司 | Issuer's fee 发卡方手续费 | 3 | 0.07 | 0.00 | 0.07
Bus 公交 |  |  | Subtotal 小计 |  | 0.07 | 600.01 | -599.94
Service 9 业务 | 11000000000000b1 | Bus 公交公司 | Fares 票款 | 1 | 0.00 | 0.05 | -0.05
Service 9 业务 |  |  | Subtotal 小计 |  | 0.00 | 0.05 | -0.05
Total 合计 |  |  |  |  | 0.07 | 600.06 | -599.99
"""


def test_a_statement_reads_and_adds_up() -> None:
    text = as_csv(statement(ISSUER, REVENUE, TITLES, DAY)).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["Statement 结算单", f"{ISSUER} Issuer 发卡公司", "2026-03-02"]
    assert rows[1] == list(HEADINGS)
    assert [" | ".join(row) for row in rows[2:]] == SENT.strip().splitlines()


def test_the_workbook_says_the_same() -> None:
    found = statement(ISSUER, REVENUE, TITLES, DAY)
    book = load_workbook(io.BytesIO(as_xlsx(found)))
    rows = list(book.active.iter_rows(values_only=True))
    assert rows[1] == HEADINGS
    assert [round(row[7] * 100) for row in rows[2:]] == [line.net_fen for line in found.lines]
    assert rows[-1][0] == "Total 合计"


def test_a_workbook_has_the_same_bytes_whenever_it_is_written() -> None:
    found = statement(ISSUER, REVENUE, TITLES, DAY)
    first = as_xlsx(found)
    time.sleep(2.1)  # zip keeps time in steps of two seconds
    assert as_xlsx(found) == first


@pytest.fixture
def city(tmp_path: Path) -> World:
    return World(tmp_path, rules=Rules())


def test_everyone_who_is_owed_or_owes_gets_all_files(city: World) -> None:
    city.upload(city.tap("A", 300))
    city.upload(city.tap("B", 500, METRO_TERMINAL))
    city.upload(city.load("A", 5_000))
    report = city.clear()
    folder = city.home / "statements" / str(DAY)
    net = city.net()
    assert {path.name for path in folder.iterdir()} == {
        f"{who}.{kind}" for who in net for kind in ("csv", "xlsx", "pdf")
    }
    assert report.participants == len(net)
    for who, amount in net.items():
        total = (folder / f"{who}.csv").read_text(encoding="utf-8-sig").splitlines()[-1].split(",")
        assert total[0] == "Total 合计"
        assert int(total[-1].replace(".", "")) == amount
    city.clear(DAY + timedelta(days=1))
    assert list((city.home / "statements" / str(DAY + timedelta(days=1))).iterdir()) == []
