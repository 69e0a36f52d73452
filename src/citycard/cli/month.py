# SPDX-License-Identifier: Apache-2.0
"""`citycard month close | show`: fees made up to what the month's volume came to, once it is over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citycard.cli import options
from citycard.cli.options import AsJson, Home
from citycard.core.money import yuan
from citycard.core.problem import declare
from citycard.core.volume import BY_AMOUNT, parse_tier

if TYPE_CHECKING:
    from citycard.office.settlement.closing import Closed, Line

app = typer.Typer(help="Close months: fees by volume tier. 月度关账：阶梯费率。", no_args_is_help=True)

Month = Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month.")]
Participant = Annotated[str | None, typer.Option(help="Only what concerns this participant: 16 hex digits.")]
OWN_RATE = "below the tiers: the contract's own rate 未达阶梯：按合同费率"

MONTH_PARTICIPANT_UNKNOWN = declare(
    "MONTH_PARTICIPANT_UNKNOWN",
    "{participant} is no participant; the console lists them under Scheme.",
    "{participant} 不是参与机构，可在控制台“体系”中查看。",
)


@app.command()
def close(
    value: Month,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Work everything out and explain it, post nothing. 试算。")
    ] = False,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make up the month's fees to the tier its volume reached, and post the difference. 月度关账。

    Refused before the last day of the month is settled. Repeating changes nothing, unless taps of the month
    were cleared since: then a further closing posts the difference they make. The adjustments are paid with
    the next settlement; `citycard report month` shows them with their explanation.
    """
    first = options.parse_month(value)
    from citycard.cli import operate

    operate.ready(home)
    from citycard.office.settlement import closing

    done = closing.explain(first) if dry_run else closing.close_month(first, options.who())
    _show(done, done.lines, as_json)


@app.command()
def show(
    value: Month,
    participant: Participant = None,
    home: Home = options.HOME_DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Explain what closing the month would post now, pair by pair: turnover, tier, rate, fees. 说明。"""
    first = options.parse_month(value)
    from citycard.cli import operate

    operate.ready(home)
    from citycard.office.participants.models import Participant as Known
    from citycard.office.settlement import closing

    if participant and not Known.objects.filter(pk=participant).exists():
        raise MONTH_PARTICIPANT_UNKNOWN(participant=participant)
    found = closing.explain(first)
    lines = [
        line
        for line in found.lines
        if not participant or participant in (line.acquirer, line.issuer, line.scheme)
    ]
    _show(found, lines, as_json)


def tier_words(tier: str, by: str) -> str:
    """A tier as people read it: from where on, its rate, its fee per tap."""
    if not tier:
        return OWN_RATE
    one = parse_tier(tier)
    start, below = (
        "" if at is None else yuan(at) if by == BY_AMOUNT else f"{at:,}" for at in (one.start, one.below)
    )
    end = f" below {below}" if below else ""
    unit = " yuan 元" if by == BY_AMOUNT else " taps 笔"
    each = f" + {yuan(one.fixed_fen)}/tap 笔" if one.fixed_fen else ""
    return f"from {start}{end}{unit}: {one.charge_bp / 100:.2f} %{each}"


def _show(found: Closed, lines: list[Line], as_json: bool) -> None:
    revenue = [] if found.repeated else found.revenue
    plain = {
        "month": f"{found.first:%Y-%m}",
        "closing": str(found.closing) if found.closing else None,
        "posted": found.closing is not None and not found.repeated,
        "repeated": found.repeated,
        "pairs": [_plain(line) for line in lines],
        "revenue": revenue,
    }
    if as_json:
        typer.echo(json.dumps(plain, ensure_ascii=False))
        return
    for line in lines:
        _explain(line)
    state = "nothing new: closed before 此前已关账" if found.repeated else (
        f"posted as {found.closing} 已入账" if found.closing else "nothing was posted 未入账"
    )  # fmt: skip
    given = sum(row["amount_fen"] for row in revenue if row["amount_fen"] > 0)
    typer.echo(f"{found.first:%Y-%m}  {len(lines)} pairs, {yuan(given)} to move; {state}")


def _plain(line: Line) -> dict[str, Any]:
    made = line.made
    return {
        "contract": line.contract,
        "service": line.service,
        "acquirer": line.acquirer,
        "issuer": line.issuer,
        "volume_by": line.terms["volume_by"],
        "taps": line.month.taps,
        "turnover_fen": line.month.turnover_fen,
        "tier": str(made.tier) if made.tier else None,
        "charged_fen": line.month.charged.total_fen,
        "due_fen": made.due.total_fen,
        "adjusted_before_fen": line.before.total_fen,
        "difference_fen": made.difference.total_fen,
    }


def _explain(line: Line) -> None:
    made = line.made
    typer.echo(f"{line.contract}  service {line.service}  {line.acquirer} / {line.issuer}")
    for name, value in (
        ("taps 笔数", f"{line.month.taps:,}"),
        ("turnover 交易额", yuan(line.month.turnover_fen)),
        ("tier 档位", tier_words(str(made.tier) if made.tier else "", line.terms["volume_by"])),
        ("fee charged 已收", yuan(line.month.charged.total_fen)),
        ("fee due 应收", yuan(made.due.total_fen)),
        ("adjusted before 此前调整", yuan(line.before.total_fen)),
        ("difference 差额", yuan(made.difference.total_fen)),
    ):
        typer.echo(f"  {name:20} {value}")
