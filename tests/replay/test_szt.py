# SPDX-License-Identifier: Apache-2.0
"""Replays Shenzhen Tong records: the real 29 000, and small files in which something is wrong."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from citycard.clearing.replay import ReplayReport, replay_szt, staging
from citycard.core.problem import Problem

HEADER = "deal_date,close_date,card_no,deal_type,company_name,car_no,station,conn_mark,deal_value,deal_money,equ_no"
DAY = "2018-09-01"


def tap(at: str, card: str, what: str, where: str, prices: str = "0 0 0", equ: str = "263032105") -> str:
    """A line: `what` is in, out or bus; `where` is company/station; `prices` are mark, list, charged."""
    kind = {"in": "地铁入站", "out": "地铁出站", "bus": "巴士"}[what]
    company, station = where.split("/")
    mark, listed, charged = prices.split()
    return f"{DAY} {at},{DAY},{card},{kind},{company},IGT-1,{station},{mark},{listed},{charged},{equ}"


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.write_bytes("".join(line + "\n" for line in (HEADER, *lines)).encode(encoding))
    return path


def run(tmp_path: Path, *lines: str) -> ReplayReport:
    return replay_szt(write(tmp_path / "taps.csv", *lines), work_dir=tmp_path / "work")


# ---- the real records


@pytest.fixture(scope="module")
def real(public_data: Path, tmp_path_factory: pytest.TempPathFactory) -> ReplayReport:
    return replay_szt(public_data / "szt_2018" / "taps.csv.zst", work_dir=tmp_path_factory.mktemp("work"))


def test_every_priced_row_comes_out_to_the_fen(real: ReplayReport) -> None:
    assert (real.rows, real.duplicates, real.priced) == (29000, 0, 15012)
    assert (real.rerated_exact, real.unexplained, real.suspended_fen) == (15012, 0, 0)
    assert sum(row["taps"] for row in real.classes) == 15012


def test_totals_by_company_equal_the_published_ones(real: ReplayReport, public_data: Path) -> None:
    with (public_data / "szt_2018" / "expected_by_company.csv").open(encoding="utf-8") as file:
        expected = {row.pop("company_name"): row for row in csv.DictReader(file)}
    figures = ("taps", "cards", "list_fen", "charged_fen")
    found = {company: {f: str(row[f]) for f in figures} for company, row in real.by_company.items()}
    assert found == expected
    assert real.expected is not None
    assert (real.expected["equal"], real.expected["differences"]) == (True, [])


def test_discounts_that_contradict_their_mark_are_listed(real: ReplayReport) -> None:
    assert real.anomalies_total == len(real.anomalies) == 186
    assert {row["kind"] for row in real.anomalies} == {"DISCOUNT_WITHOUT_MARK"}
    assert Counter((row["list_fen"], row["charged_fen"]) for row in real.anomalies) == {
        (200, 120): 171, (300, 200): 13, (400, 275): 1, (500, 350): 1,
    }  # fmt: skip
    rows = [row["row"] for row in real.anomalies]
    assert rows == sorted(set(rows))


def test_anomalies_are_told_by_their_row_in_the_file(real: ReplayReport, public_data: Path) -> None:
    packed = pa.CompressedInputStream(str(public_data / "szt_2018" / "taps.csv.zst"), "zstd")
    lines = packed.read().decode("utf-8").splitlines()
    for row in real.anomalies:
        cells = lines[row["row"]].split(",")
        assert (cells[2], cells[7], int(cells[8]), int(cells[9])) == (
            row["card"], "0", row["list_fen"], row["charged_fen"],
        )  # fmt: skip


def test_quirks_are_counted_and_gaps_told(real: ReplayReport) -> None:
    assert real.dirty == {
        "STATION_MISSING": 745, "STATION_PLACEHOLDER": 369, "STATION_REPAIRED": 44, "VEHICLE_MISSING": 745,
    }  # fmt: skip
    assert real.dropped == {}
    assert {"before": "2018-09-01 06:45:00", "after": "2018-09-01 07:57:00"} in real.gaps


def test_entries_and_exits_are_paired_or_have_a_reason(real: ReplayReport) -> None:
    found = real.journeys
    assert found["paired"] + found["unpaired_entries"] == 13988
    assert found["paired"] + found["unpaired_exits"] == 29000 - 13988 - 10364
    assert found["paired"] == 446


def test_positions_add_up_to_zero(real: ReplayReport) -> None:
    assert real.positions_sum_fen == sum(row["net_fen"] for row in real.positions) == 0
    assert real.settled_fen == sum(row["charged_fen"] for row in real.by_company.values())
    fund = next(row for row in real.positions if row["name_zh"].startswith("交通专项资金"))
    assert fund["payable_fen"] == 40 * (real.anomalies_total + 2289), "40 fen for each transfer discount"


def test_the_report_is_json(real: ReplayReport) -> None:
    plain = json.loads(json.dumps(real.as_json(), ensure_ascii=False))
    assert plain.keys() >= {
        "rows", "duplicates", "priced", "rerated_exact", "unexplained", "anomalies", "journeys", "by_company",
    }  # fmt: skip


# ---- prices and classes


@pytest.mark.parametrize(
    ("line", "outcome", "card_class"),
    [
        (tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "0 1000 725"), "EXACT", "ordinary"),
        (tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "1 1000 685"), "EXACT", "ordinary"),
        (
            tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "1 1000 725"),
            "MARK_WITHOUT_DISCOUNT",
            "ordinary",
        ),
        (tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "0 250 125"), "EXACT", "student"),
        (tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "0 250 250"), "EXACT", "full_fare"),
        (tap("08:00:00", "AAAAAAAAA", "bus", "华程交通/1路", "0 250 250"), "EXACT", "ordinary"),
        (tap("08:00:00", "AAAAAAAAA", "bus", "华程交通/1路", "0 250 200"), "UNEXPLAINED", None),
        (tap("08:00:00", "AAAAAAAAA", "out", "地铁一号线/老街", "0 700 665"), "EXACT", "ordinary"),
        (
            tap("08:00:00", "AAAAAAAAA", "out", "地铁一号线/老街", "0 700 625"),
            "DISCOUNT_WITHOUT_MARK",
            "ordinary",
        ),
        (tap("08:00:00", "AAAAAAAAA", "out", "地铁一号线/老街", "0 700 0"), "EXACT", "free"),
        (tap("08:00:00", "AAAAAAAAA", "out", "地铁一号线/老街", "0 700 666"), "UNEXPLAINED", None),
        (tap("08:00:00", "AAAAAAAAA", "out", "地铁一号线/老街", "0 700 701"), "UNEXPLAINED", None),
        (tap("08:00:00", "AAAAAAAAA", "bus", "新公司/1路", "0 200 160"), "EXACT", "ordinary"),
    ],
)
def test_a_price_implies_a_class(tmp_path: Path, line: str, outcome: str, card_class: str | None) -> None:
    report = run(tmp_path, line)
    assert report.priced == 1
    assert report.unexplained == (outcome == "UNEXPLAINED")
    odd = [row["kind"] for row in report.anomalies + report.unexplained_rows]
    assert odd == ([] if outcome == "EXACT" else [outcome])
    assert [row["card_class"] for row in report.classes] == ([card_class] if card_class else [])
    assert report.positions_sum_fen == 0
    assert (report.suspended_fen > 0) == (outcome == "UNEXPLAINED")


def test_a_company_the_scheme_does_not_know_is_told_and_still_settled(tmp_path: Path) -> None:
    report = run(tmp_path, tap("08:00:00", "AAAAAAAAA", "bus", "新公司/1路", "0 200 160"))
    assert report.companies_unknown == ["新公司"]
    assert next(row for row in report.positions if row["participant"] == "新公司")["net_fen"] == 159


def test_rows_before_the_first_tariff_are_suspended(tmp_path: Path) -> None:
    early = tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "0 200 160").replace("2018", "2008")
    report = run(tmp_path, early, tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "0 200 160"))
    assert (report.rerated_exact, report.unexplained, report.suspended_fen) == (1, 1, 160)


# ---- duplicates, dirty rows, journeys


def test_an_exact_duplicate_counts_once_and_is_said(tmp_path: Path) -> None:
    line = tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "0 200 160")
    other = tap("08:00:01", "AAAAAAAAA", "bus", "巴士集团/1路", "0 200 160")
    (tmp_path / "expected_by_company.csv").write_text(
        "company_name,taps,cards,list_fen,charged_fen\n巴士集团,3,1,600,480\n", encoding="utf-8"
    )
    report = run(tmp_path, line, other, line)
    assert (report.rows, report.used, report.duplicates, report.duplicate_rows) == (3, 2, 1, [3])
    company = report.by_company["巴士集团"]
    assert (company["taps"], company["charged_fen"]) == (2, 320)
    assert (company["duplicate_taps"], company["duplicate_charged_fen"]) == (1, 160)
    assert report.expected is not None
    assert report.expected["counting"] == "equal, duplicates counted as often as they stand"
    assert report.settled_fen == 320


def test_dirty_rows_are_counted_by_reason_and_the_others_kept(tmp_path: Path) -> None:
    good = tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "0 200 160")
    bad = {
        "TIME_INVALID": good.replace("08:00:00", "25:00:00"),
        "CARD_INVALID": good.replace("AAAAAAAAA", "AAAAAAAZ"),
        "EVENT_UNKNOWN": good.replace("巴士,", "轮渡,"),
        "COMPANY_MISSING": good.replace("巴士集团", ""),
        "TERMINAL_MISSING": good.replace("263032105", ""),
        "TRANSFER_MARK_UNKNOWN": good.replace(",0,200", ",2,200"),
        "AMOUNT_INVALID": good.replace("200,160", "2.00,160"),
        "ENTRY_WITH_AMOUNT": tap("08:00:00", "AAAAAAAAA", "in", "地铁一号线/老街", "0 200 160"),
        "COLUMNS_WRONG": good + ",more",
    }
    path = write(tmp_path / "taps.csv", *bad.values(), '"never closed', good)
    path.write_bytes(path.read_bytes() + b"\xff\xfe" + good.encode() + b"\n\n" + good[:-1].encode() + b"6")
    report = replay_szt(path, work_dir=tmp_path)
    assert report.dropped == dict.fromkeys(bad, 1) | {"COLUMNS_WRONG": 2, "ENCODING_WRONG": 1}
    assert (report.rows, report.used) == (len(bad) + 4, 2)
    assert report.dirty == report.dropped


def test_row_numbers_hold_across_blocks_and_bad_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citycard.clearing.replay.reading.BLOCK_BYTES", 700)
    lines = [tap(f"08:00:{n:02d}", "AAAAAAAAA", "bus", "巴士集团/1路", "0 200 160") for n in range(60)]
    lines[7], lines[8], lines[33] = "x", "", lines[33].replace(",160,", ",120,")
    lines[50] = lines[50].replace("1路", '"1路,快"')
    report = run(tmp_path, *lines)
    assert [row["row"] for row in report.anomalies] == [34]
    assert (report.rows, report.used, report.dropped) == (59, 58, {"COLUMNS_WRONG": 1})


def test_station_names_become_comparable(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        tap("08:00:00", "AAAAAAAAA", "in", "地铁九号线/?I岭"),
        tap("08:20:00", "AAAAAAAAA", "out", "地铁九号线/孖岭站", "0 200 190"),
        tap("08:00:00", "BBBBBBBBB", "in", "地铁九号线/?X"),
    )
    assert report.dirty == {"STATION_REPAIRED": 1, "STATION_GARBLED": 1}
    assert report.journeys["same_station"] == 1


def test_journeys_without_a_partner_have_a_reason(tmp_path: Path) -> None:
    here, there, fare = "地铁一号线/老街", "地铁四号线/红山", "0 400 380"
    report = run(
        tmp_path,
        tap("09:00:00", "AAAAAAAAA", "out", there, fare),  # the file is not in order of time
        tap("08:00:00", "AAAAAAAAA", "in", here),
        tap("08:00:00", "BBBBBBBBB", "in", here),
        tap("08:10:00", "BBBBBBBBB", "in", here),
        tap("08:00:00", "CCCCCCCCC", "out", there, fare),
        tap("08:30:00", "CCCCCCCCC", "out", here, fare),
        tap("08:00:00", "DDDDDDDDD", "in", here),
        tap("12:00:01", "DDDDDDDDD", "out", there, fare),
        tap("08:00:00", "EEEEEEEEE", "in", here),
        tap("12:00:00", "EEEEEEEEE", "out", there, fare),
    )
    found = report.journeys
    assert found["paired"] == 2
    assert found["entries_by_reason"] == {"NO_EXIT_IN_FILE": 1, "ENTERED_AGAIN": 1, "EXIT_TOO_LATE": 1}
    assert found["exits_by_reason"] == {"NO_ENTRY_IN_FILE": 1, "EXITED_AGAIN": 1, "ENTRY_TOO_EARLY": 1}
    assert (found["between_lines"], found["longest_minutes"]) == (2, 240)


def test_a_journey_over_two_lines_is_shared(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        tap("08:00:00", "AAAAAAAAA", "in", "地铁一号线/老街"),
        tap("08:30:00", "AAAAAAAAA", "out", "地铁四号线/红山", "0 400 380"),
    )
    net = {row["name_zh"]: row["net_fen"] for row in report.positions}
    # 60 basis points of 380 are 2 fen: 1 to the issuer, 1 left by largest remainder to the scheme
    assert net == {"深圳通": -378, "地铁一号线": 189, "地铁四号线": 189}


# ---- files that cannot be used


GOOD = tap("08:00:00", "AAAAAAAAA", "bus", "巴士集团/1路", "0 200 160")


def _files(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    plain = write(tmp_path / "plain.csv", *[GOOD] * 5).read_bytes()
    made: dict[str, tuple[str, bytes, str]] = {
        "empty": ("a.csv", b"", "REPLAY_EMPTY"),
        "other columns": ("b.csv", b"a,b,c\n1,2,3\n", "REPLAY_COLUMNS"),
        "one column lacks": ("c.csv", plain.replace(b"deal_money", b"money"), "REPLAY_COLUMNS"),
        "GB 18030": ("d.csv", plain.decode().encode("gb18030"), "REPLAY_ENCODING"),
        "UTF-16": ("e.csv", plain.decode().encode("utf-16"), "REPLAY_ENCODING"),
        "a picture": ("f.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9, "REPLAY_ENCODING"),
        "no line ends": ("g.csv", b"x" * 2_000_000, "REPLAY_NOT_LINES"),
        "not packed": ("h.csv.zst", plain, "REPLAY_FILE_UNREADABLE"),
        "torn off": (
            "i.csv.zst",
            pa.compress(plain * 500, "zstd", asbytes=True)[:-20],
            "REPLAY_FILE_UNREADABLE",
        ),
    }
    files = {
        "missing": (tmp_path / "none.csv", "REPLAY_FILE_MISSING"),
        "a folder": (tmp_path, "REPLAY_FILE_MISSING"),
    }
    for label, (name, content, code) in made.items():
        (tmp_path / name).write_bytes(content)
        files[label] = tmp_path / name, code
    return files


def test_a_file_that_cannot_be_used_is_one_clear_problem(tmp_path: Path) -> None:
    for label, (path, code) in _files(tmp_path).items():
        with pytest.raises(Problem) as caught:
            replay_szt(path, work_dir=tmp_path / "work")
        assert caught.value.code == code, label
        assert str(path) in caught.value.text("en")
        assert str(path) in caught.value.text("zh")
        assert list((tmp_path / "work").iterdir()) == [], "nothing is left behind"


def test_the_wrong_encoding_is_named_with_the_remedy(tmp_path: Path) -> None:
    path = write(tmp_path / "gbk.csv", *[GOOD] * 5, encoding="gb18030")
    with pytest.raises(Problem, match=r"it seems to be gb18030.*iconv -f gb18030 -t utf-8"):
        replay_szt(path, work_dir=tmp_path)


def test_a_work_folder_that_is_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "taps.csv", GOOD)
    with pytest.raises(Problem) as caught:
        replay_szt(path, work_dir=path)
    assert caught.value.code == "REPLAY_STORAGE"


def test_a_file_without_usable_rows_is_still_reported(tmp_path: Path) -> None:
    for lines in ((), ("x,y",), (GOOD.replace("AAAAAAAAA", "?"),)):
        report = run(tmp_path, *lines)
        assert (report.rows, report.used, report.priced) == (len(lines), 0, 0)
        assert report.positions == []


# ---- size


def test_long_lists_go_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("citycard.clearing.replay.LISTED_MAX", 2)
    odd = [tap(f"08:00:0{n}", "AAAAAAAAA", "bus", "巴士集团/1路", "0 200 120") for n in range(5)]
    report = run(tmp_path, *odd)
    assert (report.anomalies_total, len(report.anomalies)) == (5, 2)
    with Path(report.files["anomalies"]).open(encoding="utf-8") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert "unexplained" not in report.files


def test_progress_is_told_and_staging_is_removed(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    path = write(tmp_path / "taps.csv", GOOD)
    replay_szt(path, work_dir=tmp_path / "work", progress=lambda *step: told.append(step))
    assert ("read", path.stat().st_size, path.stat().st_size) in told
    assert told[-1] == ("work", 5, 5)
    assert list((tmp_path / "work").iterdir()) == []
    assert staging.MEMORY.endswith("MB")
