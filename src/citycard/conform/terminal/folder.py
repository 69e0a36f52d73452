# SPDX-License-Identifier: Apache-2.0
"""The laboratory's folder: its vault, what a terminal under test is told, and what was played to it.

vault.ccv         keys, under the laboratory's passphrase; PSAMs for terminals under test come from it
parameters.json   tariff, issuers and hotlist that the terminal under test must have
played.json       what every played card truly did, scenario by scenario
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from citycard.conform.model import Case, Confidence, Exchanged, Failed, Result, Step, Text, Verdict
from citycard.conform.specimens import TEST_TRANSPORT
from citycard.conform.terminal.judge import numbered
from citycard.conform.terminal.laboratory import pan_of, parameters_for_people
from citycard.conform.terminal.played import Commit
from citycard.conform.terminal.run import NOT_PLAYED, PASSED, case_of, verdict
from citycard.conform.terminal.scenarios import Scenario
from citycard.core.crypto import TRIPLE_DES
from citycard.core.layout import LayoutError
from citycard.core.problem import declare
from citycard.core.record import HEADER_SIZE, Batch, BatchError, TapRecord, open_batch
from citycard.keys import FILE_NAME, KeyName, SoftVault, Vault, check_batch, scheme_ceremony

PARAMETERS, PLAYED = "parameters.json", "played.json"
FORMAT: Final = 1

CONFORM_LAB = declare(
    "CONFORM_LAB",
    "{folder} is no laboratory folder: {why}. Make one with `citycard conform terminal prepare`.",
    "{folder} 不是检测实验室目录：{why}。请用 `citycard conform terminal prepare` 建立。",
)
CONFORM_BATCH = declare(
    "CONFORM_BATCH",
    "The batch {file} cannot be judged: {why}. Give the batch files as the terminal sent them.",
    "无法判定批文件 {file}：{why}。请提供终端上传的原始批文件。",
)
Truth = dict[str, tuple[list[Commit], list[Exchanged]]]


def prepare(folder: Path, passphrase: Callable[[], str]) -> list[Path]:
    """Make the folder: keys of its own and the parameters to tell. VAULT_EXISTS when it is there already."""
    folder.mkdir(parents=True, exist_ok=True)
    vault = SoftVault.create(folder / FILE_NAME, passphrase())
    scheme_ceremony(vault)
    vault.import_key(KeyName.TRANSPORT, TRIPLE_DES, 1, TEST_TRANSPORT)
    told = json.dumps(parameters_for_people(), ensure_ascii=False, indent=2)
    (folder / PARAMETERS).write_text(told + "\n", encoding="utf-8")
    return [folder / FILE_NAME, folder / PARAMETERS]


def open_vault(folder: Path, passphrase: Callable[[], str]) -> SoftVault:
    """The laboratory's vault. CONFORM_LAB when there is none."""
    path = folder / FILE_NAME
    if not path.exists():  # said before a passphrase is asked for
        raise CONFORM_LAB(folder=folder, why=f"it has no {FILE_NAME}")
    return SoftVault.open(path, passphrase())


def keep_played(
    folder: Path, scenario: Scenario, commits: Iterable[Commit], trace: Iterable[Exchanged]
) -> None:
    """Add a scenario to what was played; played again, it replaces what was kept."""
    body = _read(folder)
    body["scenarios"][scenario.id] = {
        "commits": [asdict(commit) for commit in commits],
        "trace": [
            [one.command.hex(), None if one.answer is None else one.answer.hex(), one.micros] for one in trace
        ],
    }
    path = folder / PLAYED
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(body, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def read_played(folder: Path) -> Truth:
    """What was played, by scenario. CONFORM_LAB when the file is damaged."""
    try:
        return {
            id_: (
                [Commit(**commit) for commit in kept["commits"]],
                [
                    Exchanged(
                        bytes.fromhex(command), None if answer is None else bytes.fromhex(answer), micros
                    )
                    for command, answer, micros in kept["trace"]
                ],
            )
            for id_, kept in _read(folder)["scenarios"].items()
        }
    except (KeyError, TypeError, ValueError) as fault:
        raise CONFORM_LAB(folder=folder, why=f"{PLAYED} is damaged ({fault!r})") from None


def _read(folder: Path) -> dict[str, Any]:
    path = folder / PLAYED
    if not path.exists():
        return {"format": FORMAT, "scenarios": {}}
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise CONFORM_LAB(folder=folder, why=f"{PLAYED} is damaged") from None
    if (
        not isinstance(body, dict)
        or body.get("format") != FORMAT
        or not isinstance(body.get("scenarios"), dict)
    ):
        raise CONFORM_LAB(folder=folder, why=f"{PLAYED} has another format")
    return body


def read_batches(files: Iterable[Path]) -> tuple[list[Batch], list[TapRecord]]:
    """Some batch files and all their records. CONFORM_BATCH names the file that is none."""
    batches: list[Batch] = []
    records: list[TapRecord] = []
    for file in files:
        try:
            batches.append(open_batch(file.read_bytes()))
            records += batches[-1].records()
        except OSError as fault:
            raise CONFORM_BATCH(file=file, why=fault.strerror or fault) from None
        except (BatchError, LayoutError) as fault:
            raise CONFORM_BATCH(file=file, why=fault) from None
    return batches, records


# Judging what was played


def judge_played(
    scenarios: Iterable[Scenario], truth: Truth, records: list[TapRecord], vault: Vault
) -> list[Result]:
    """The word on every scenario, and on the records as a whole."""
    results, known = [], set()
    for scenario in scenarios:
        known |= {pan_of(scenario, number) for number in range(len(scenario.cards))}
        if scenario.id not in truth:
            results.append(Result(case_of(scenario), Verdict.NOT_RUN, NOT_PLAYED))
            continue
        commits, trace = truth[scenario.id]
        results.append(verdict(scenario, commits, records, vault, trace))
    return [*results, _numbering(records), _strangers(records, known)]


def _whole(id_: str, title: Text, failure: Failed | None) -> Result:
    case = Case(
        f"TT-{id_}", title, "citycard record version 1", Confidence.SOURCES, (Step(lambda b: None, title),)
    )
    if failure is None:
        return Result(case, Verdict.PASS, PASSED)
    return Result(case, failure.verdict, failure.text)


def _numbering(records: list[TapRecord]) -> Result:
    title = Text("Records are numbered one by one", "记录流水号连续且不重复")
    try:
        numbered(records)
    except Failed as failed:
        return _whole("NUM-001", title, failed)
    return _whole("NUM-001", title, None)


def judge_batches(batches: Iterable[Batch], vault: Vault) -> Result:
    """The word on the batches: each carries the MAC of the terminal it names."""
    title = Text("Batches carry the terminal's MAC", "批文件 MAC 正确")
    wrong = [batch.header for batch in batches if not check_batch(vault, batch.raw[:HEADER_SIZE])]
    if not wrong:
        return _whole("NUM-003", title, None)
    told = ", ".join(f"{header['terminal'].hex()} / {header['batch']}" for header in wrong[:5])
    return _whole("NUM-003", title, Failed(f"wrong MAC of batch {told}", f"批文件 {told} 的 MAC 错误"))


def _strangers(records: list[TapRecord], known: set[str]) -> Result:
    title = Text("No record of a card that was not played", "没有未测试卡片的记录")
    found = sorted({record.pan for record in records} - known)
    failure = (
        Failed(f"records of cards {', '.join(found[:5])}", f"存在卡片 {'、'.join(found[:5])} 的记录")
        if found
        else None
    )
    return _whole("NUM-002", title, failure)
