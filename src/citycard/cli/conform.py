# SPDX-License-Identifier: Apache-2.0
"""`citycard conform`: test cards and terminals against the catalogue, and write the laboratory's report.

Exit code 1 when a case fails; 2 for problems, as everywhere.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from citycard.cli import options
from citycard.cli.options import AsJson
from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.conform.model import Case, Result
    from citycard.conform.report import Report
    from citycard.conform.stands import Stand
    from citycard.keys import Vault

FAILED_EXIT: Final = 1
EMULATED: Final = "emulated"
CARD_WAIT_S: Final = 5.0  # for a card to be put on the reader
REPORT_DEFAULT: Final = Path("conformance")

CONFORM_ALLOW = declare(
    "CONFORM_ALLOW",
    "--allow-lock declares the card expendable and needs --allow-write as well.",
    "--allow-lock 表示样卡可消耗，须同时给出 --allow-write。",
)

CONFORM_SUITE = declare(
    "CONFORM_SUITE",
    "Emulated cards of the profile {profile} are made with 3DES keys only; leave --suite away.",
    "{profile} 卡型的模拟卡仅支持 3DES 密钥，请勿指定 --suite。",
)

app = typer.Typer(
    help="Conformance tests for cards and terminals. 卡片与终端符合性测试。", no_args_is_help=True
)

terminal_app = typer.Typer(help="Test a terminal: own, or one under test over PC/SC. 终端测试。")
app.add_typer(terminal_app, name="terminal")


class Place(StrEnum):
    """Where a terminal under test stands."""

    ENTER = "enter"
    EXIT = "exit"
    PAY = "pay"
    LOAD = "load"


class ProfileName(StrEnum):
    """Catalogues of card cases."""

    T_UNION = "t-union"
    GP = "gp"
    PBOC = "pboc"


class SuiteName(StrEnum):
    """Cipher suites, as typed."""

    TRIPLE_DES = "3DES"
    SM4 = "SM4"


Profile = Annotated[ProfileName, typer.Option("--profile", help="Kind of card.")]
Folder = Annotated[Path, typer.Option("--report", help="Folder for report.html, junit.xml, trace.txt.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--case", help="Only this case or group, e.g. TU-PUR-003 or STR; repeat for more."),
]
OnlyScenario = Annotated[
    list[str] | None,
    typer.Option("--case", help="Only this scenario or group, e.g. TT-TOR-004 or TOR; repeat for more."),
]
Lab = Annotated[Path, typer.Argument(help="The laboratory's folder.")]
Places = Annotated[
    list[Place] | None,
    typer.Option("--place", help="A place the terminal under test serves; repeat for more."),
]


@app.command("list")
def list_cases(
    profile: Profile = ProfileName.T_UNION,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="The scenarios for terminals instead.")
    ] = False,
    only: Only = None,
    as_json: AsJson = False,
) -> None:
    """List the cases: number, what each needs, title. 用例清单。"""
    from citycard.cli import language
    from citycard.conform.report import catalogue_rows
    from citycard.conform.terminal import run as scenarios

    told = map(scenarios.case_of, scenarios.chosen(only or ())) if terminal else ()
    cases = tuple(told) if terminal else _cases(profile, only)
    if as_json:
        rows = catalogue_rows(cases)
        typer.echo(json.dumps({"profile": profile.value, "cases": rows}, ensure_ascii=False))
        return
    for case in cases:
        needs = ",".join(sorted(case.needs)) or "-"
        typer.echo(f"{case.id}  {needs:20}  {case.title.text(language())}  [{case.clause}]")
    typer.echo(f"{len(cases)} cases", err=True)


@app.command("card")
def run_card(
    profile: Profile = ProfileName.T_UNION,
    reader: Annotated[str, typer.Option(help="Name of the reader, or `emulated`.")] = EMULATED,
    allow_write: Annotated[bool, typer.Option("--allow-write", help="The card may be changed.")] = False,
    allow_lock: Annotated[
        bool, typer.Option("--allow-lock", help="The card is expendable: it may be locked for ever.")
    ] = False,
    keys: Annotated[
        Path | None, typer.Option(help="Vault that holds the card's keys: HOME/vault.ccv.")
    ] = None,
    key_index: Annotated[int, typer.Option(min=0, max=255, help="Index of purchase and load key.")] = 1,
    samples: Annotated[int, typer.Option(min=20, max=10_000, help="Repetitions for each time.")] = 400,
    suite: Annotated[SuiteName, typer.Option(help="Cipher suite of emulated cards.")] = SuiteName.TRIPLE_DES,
    only: Only = None,
    report: Folder = REPORT_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Test the card in a reader; nothing is written to it without --allow-write. 卡片测试。"""
    from citycard.cli import language
    from citycard.conform.report import card_report
    from citycard.conform.run import Orders, run
    from citycard.core.calendar import bcd_datetime

    if allow_lock and not allow_write:
        raise CONFORM_ALLOW()
    cases = _cases(profile, only)
    now = datetime.now()
    orders = Orders(bcd_datetime(now), allow_write, allow_lock, key_index, samples)
    with ExitStack() as stack:
        stand = _stand(profile, reader, keys, suite, stack)
        with options.progress_bar() as advance:
            results = run(cases, stand, orders, advance)
        told = card_report(results, stand, orders, profile.value, now)
    _tell(told, report, language(), as_json)


@terminal_app.callback(invoke_without_command=True)
def own_terminal(
    context: typer.Context,
    only: OnlyScenario = None,
    report: Folder = REPORT_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Play scripted cards to this program's own terminals and judge their records. 终端自检。"""
    if context.invoked_subcommand is not None:
        return
    from citycard.cli import language
    from citycard.conform.report import terminal_report
    from citycard.conform.specimens import laboratory_vault
    from citycard.conform.terminal.laboratory import Laboratory
    from citycard.conform.terminal.own import OwnTerminals
    from citycard.conform.terminal.run import chosen, run

    laboratory = Laboratory(laboratory_vault(os.urandom), os.urandom)
    with options.progress_bar() as advance:
        results = run(chosen(only or ()), lambda: OwnTerminals(laboratory), laboratory, advance)
    told = terminal_report(results, OwnTerminals.title, ", ".join(Place), datetime.now())
    _tell(told, report, language(), as_json)


@terminal_app.command()
def prepare(lab: Lab) -> None:
    """Make a laboratory folder: a vault for PSAMs, and parameters to tell. 建立实验室目录。"""
    from citycard.conform.terminal import folder

    for made in folder.prepare(lab, lambda: options.passphrase(confirm=True)):
        typer.echo(made)


@terminal_app.command()
def play(
    lab: Lab,
    host: Annotated[str, typer.Option(help="Where vpcd listens for the card.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 35_963,
    places: Places = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="How long each card lies in the reader; 0 asks a person.")
    ] = 0,
    only: OnlyScenario = None,
) -> None:
    """Play the cards, one after another, to a terminal under test that uses PC/SC. 向被测终端演示卡片。"""
    from citycard.conform.readers import VirtualReader
    from citycard.conform.terminal import folder
    from citycard.conform.terminal.laboratory import Laboratory
    from citycard.conform.terminal.played import PlayedCard
    from citycard.conform.terminal.plug import PlugIn
    from citycard.conform.terminal.run import chosen
    from citycard.conform.terminal.run import play as play_scenario

    def tell(place: str, card: PlayedCard) -> None:
        typer.echo(f"  {place}: card {card.pan}", err=True)
        if not seconds:
            typer.prompt("  Enter presents the card / 按回车放卡", default="", show_default=False, err=True)

    def until() -> None:
        if seconds:
            time.sleep(seconds)
        else:
            typer.prompt("  Enter takes it away / 按回车取卡", default="", show_default=False, err=True)

    laboratory = Laboratory(folder.open_vault(lab, options.passphrase), os.urandom)
    terminal = PlugIn(lambda: VirtualReader(host, port), tell, until)
    for scenario in chosen(only or (), frozenset(places or ())):
        typer.echo(f"{scenario.id} {scenario.title.en} {scenario.title.zh}", err=True)
        folder.keep_played(lab, scenario, *play_scenario(scenario, terminal, laboratory))


@terminal_app.command()
def judge(
    lab: Lab,
    batches: Annotated[list[Path], typer.Argument(help="Batch files that the terminal under test has made.")],
    places: Places = None,
    only: OnlyScenario = None,
    report: Folder = REPORT_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Judge the records of a terminal under test by what was played to it. 判定被测终端的记录。"""
    from citycard.cli import language
    from citycard.conform.report import terminal_report
    from citycard.conform.terminal import folder
    from citycard.conform.terminal.run import chosen

    vault = folder.open_vault(lab, options.passphrase)
    given, records = folder.read_batches(batches)
    scenarios = chosen(only or (), frozenset(places or ()))
    results = folder.judge_played(scenarios, folder.read_played(lab), records, vault)
    results.append(folder.judge_batches(given, vault))
    title = ", ".join(sorted({record.terminal.hex() for record in records}))
    told = terminal_report(results, title, ", ".join(places or Place), datetime.now())
    _tell(told, report, language(), as_json)


def _cases(profile: ProfileName, only: list[str] | None) -> tuple[Case, ...]:
    from citycard.conform.catalogue import CATALOGUES
    from citycard.conform.run import chosen

    return chosen(CATALOGUES[profile.value].cases, only or ())


def _stand(profile: ProfileName, reader: str, keys: Path | None, suite: SuiteName, stack: ExitStack) -> Stand:
    """The emulation with new keys of its own, or the card on a reader with keys from a vault."""
    from citycard.conform.kinds import KINDS
    from citycard.conform.readers import open_reader
    from citycard.conform.specimens import Mint, laboratory_vault
    from citycard.conform.stands import EmulatedStand, ReaderStand
    from citycard.conform.stock import STOCKS
    from citycard.core.crypto import suite_named

    if reader != EMULATED:
        vault = _vault(keys)
        field = stack.enter_context(open_reader(reader, CARD_WAIT_S))
        return ReaderStand(field, field.name, vault, time.perf_counter_ns, KINDS[profile.value])
    if profile is ProfileName.T_UNION:
        algorithm = suite_named(suite).id
        return EmulatedStand(Mint(laboratory_vault(os.urandom, algorithm), os.urandom, algorithm))
    if suite is not SuiteName.TRIPLE_DES:
        raise CONFORM_SUITE(profile=profile.value)
    return EmulatedStand(STOCKS[profile.value](os.urandom))


def _vault(file: Path | None) -> Vault | None:
    """The vault of this file, or of this home folder."""
    from citycard.keys import FILE_NAME, SoftVault
    from citycard.keys.vault import VAULT_MISSING

    if file is None:
        return None
    path = file / FILE_NAME if file.is_dir() else file
    if not path.exists():  # said before a passphrase is asked for
        raise VAULT_MISSING(path=path)
    return SoftVault.open(path, options.passphrase())


def _tell(report: Report, folder: Path, language: str, as_json: bool) -> None:
    """Write the report, tell what failed, leave with 1 when something did."""
    from citycard.conform.model import Verdict
    from citycard.conform.report import result_rows, summary, write

    files = write(report, folder, language)
    failed = report.failed
    if as_json:
        counts = {verdict.value: count for verdict, count in report.counts().items()}
        told = {
            "counts": counts,
            "results": result_rows(report.results),
            "files": [str(file) for file in files],
        }
        typer.echo(json.dumps(told, ensure_ascii=False))
    else:
        for result in failed:
            typer.echo(_line(result, language))
        for result in report.results:
            if result.verdict is Verdict.INCONCLUSIVE:
                typer.echo(_line(result, language))
        typer.echo(summary(report.results, language))
        typer.echo(f"{files[0]}", err=True)
    if failed:
        raise typer.Exit(FAILED_EXIT)


def _line(result: Result, language: str) -> str:
    from citycard.conform.model import VERDICTS

    case = result.case
    verdict = VERDICTS[result.verdict].text(language)
    return f"{verdict}: {case.id} {case.title.text(language)}: {result.why.text(language)}"
