# SPDX-License-Identifier: Apache-2.0
"""The demo's closing report as tables for people, in both languages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table

from citycard.core.money import yuan
from citycard.core.refusal import Reason, Refusal

if TYPE_CHECKING:
    from citycard.lab.demo import Shown


def show_demo(shown: Shown) -> None:
    """Print the report on standard output."""
    console = Console()
    found = shown.report
    console.print()
    console.rule(f"[bold]{found['business_date']}  one day of a city · 城市的一天")
    console.print(_overview(found))
    console.print(_services(found["services"]))
    console.print(_reasons(found))
    console.print(_positions(found, shown.names))
    good = (
        found["cards_match_shadow_accounts"] and found["positions_sum_fen"] == 0 and found["ledger_balanced"]
    )
    console.print(
        f"{'[green]✓' if good else '[red]✗'} positions add up to {yuan(found['positions_sum_fen'])} · "
        f"ledger balanced: {found['ledger_balanced']} · "
        f"every card equals its shadow account: {found['cards_match_shadow_accounts']} · "
        f"{found['seconds']} s[/]\n"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        expand=False,
    )
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _overview(found: dict[str, Any]) -> Table:
    table = _table("The day 概况", "", "")
    table.show_header = False
    top_ups, uploads = found["top_ups"], found["uploads"]
    rows = (
        ("cards 卡片", found["cards"]),
        ("presentations 刷卡次数", found["presentations"]),
        ("taps accepted 成功消费", found["taps"]),
        ("top-ups 充值", f"{top_ups.get('accepted', 0)}  ({yuan(top_ups.get('fen', 0))} 元)"),
        ("torn away · recovered 拔卡 · 恢复", f"{found['torn']} · {found['recovered']}"),
        ("batches · records 批次 · 记录", f"{uploads.get('batches', 0)} · {uploads.get('records', 0)}"),
        (
            "repeated · out of order · altered 重传 · 乱序 · 篡改",
            " · ".join(str(uploads.get(name, 0)) for name in ("repeated", "out_of_order", "altered_refused")),
        ),
        ("records accepted 清分成功", found["records_accepted"]),
        ("records suspended 挂起", found["records_suspended"]),
    )
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def _services(services: dict[str, dict[str, int]]) -> Table:
    table = _table(
        "Fares by service 各业务票款 (元)", "", "taps\n笔数", "list\n票价", "concession\n优惠",
        "transfer\n换乘", "surcharge\n附加", "charged\n实收",
    )  # fmt: skip
    columns = ("list_fen", "concession_fen", "transfer_fen", "surcharge_fen", "charged_fen")
    for name, row in services.items():
        table.add_row(name, str(row["taps"]), *(yuan(row[column]) for column in columns))
    return table


def _reasons(found: dict[str, Any]) -> Table:
    table = _table(
        "Refused at terminals, rejected in clearing 终端拒绝与清分拒付", "code", "why 原因", "count 次数"
    )
    table.columns[1].justify = "left"
    told: list[tuple[type[Refusal] | type[Reason], str]] = [
        (Refusal, "refusals"),
        (Reason, "records_rejected"),
    ]
    for kind, name in told:
        for code, count in found[name].items():
            why = kind.__members__.get(code)
            table.add_row(code, f"{why.en}\n{why.zh}" if why else "", str(count))
    return table


def _positions(found: dict[str, Any], names: dict[str, str]) -> Table:
    table = _table("Positions 头寸 (元)", "participant 机构", "net 净额")
    for participant, net in found["positions"].items():
        table.add_row(names.get(participant, participant), yuan(net))
    table.add_section()
    table.add_row("sum 合计", yuan(found["positions_sum_fen"]))
    return table
