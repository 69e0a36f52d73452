# SPDX-License-Identifier: Apache-2.0
"""Two people at the keys: asking custodians for what only they know, and recording what was done.

Secrets are typed into hidden prompts, or, with `--stdin`, come as lines on standard input for scripts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citycard.core.problem import declare

if TYPE_CHECKING:
    from citycard.keys.protocol import Protocol

CLEAR: Final = "\x1b[2J\x1b[3J\x1b[H"  # screen and what was scrolled off it
INPUT_ENDED = declare(
    "INPUT_ENDED",
    "Standard input ended where {what} was to come.",
    "标准输入提前结束，缺少 {what}。",
)
NEEDS_TERMINAL = declare(
    "NEEDS_TERMINAL",
    "Components are typed and shown at a terminal. Run in one, or use --shares-to, --share-file or --stdin.",
    "密钥分量须在终端中输入和显示；请在终端中运行，或使用 --shares-to、--share-file、--stdin。",
)

CustodianNames = Annotated[
    list[str], typer.Option("--custodian", help="Name of a custodian; give the option once for each.")
]
FromStdin = Annotated[
    bool, typer.Option("--stdin", help="Read what custodians type from standard input, a line each.")
]


class Desk:
    """Where custodians type."""

    def __init__(self, *, stdin: bool) -> None:
        self._stdin = stdin

    def hidden(self, what: str, *, confirm: bool = False) -> str:
        """Something typed unseen. INPUT_ENDED, NEEDS_TERMINAL."""
        if self._stdin:
            line = sys.stdin.readline()
            if not line:
                raise INPUT_ENDED(what=what)
            return line.rstrip("\r\n")
        if not sys.stdin.isatty():
            raise NEEDS_TERMINAL()
        return str(typer.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True))

    def private(self, name: str, text: str, check_value: str) -> None:
        """Show a component to its custodian alone, until its check value is typed back, and clear the screen.

        NEEDS_TERMINAL: a component is never printed where it could be kept.
        """
        if self._stdin or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise NEEDS_TERMINAL()
        typer.prompt(f"{name} alone at the screen / 仅限 {name} 查看: Enter", default="", show_default=False)
        typer.echo(f"{CLEAR}\n{text}\n\ncheck value / 校验值 {check_value}\n")
        while (
            typer.prompt("Written down? Type the check value / 抄写后输入校验值").strip().upper()
            != check_value
        ):
            typer.echo("That is another value / 校验值不符")
        typer.echo(CLEAR, nl=False)


def confirm_two(home: Path, names: Sequence[str], desk: Desk) -> None:
    """Two custodians of this home type their passphrases. CUSTODIAN_TWO, _UNKNOWN, _PASSPHRASE."""
    from citycard.keys.custodians import Custodians, check_two

    check_two(names)
    register = Custodians(home)
    for name in names:
        register.confirm(name, desk.hidden(f"Passphrase of custodian {name} / 保管员 {name} 的口令"))


def record(home: Path, kind: str, by: Sequence[str], **told: Any) -> Protocol:
    """Put a protocol into the ceremony log and, where there is an office, into its audit log."""
    from citycard.keys import protocol

    made = protocol.append(home, protocol.protocol(kind, datetime.now(), by, **told))
    if office_there(home):
        from citycard.office.audit.chain import Deed
        from citycard.office.audit.chain import append as audit

        detail = {"protocol": made.number, "hash": made.hash, **made.facts}
        audit([Deed(" + ".join(by) or "cli", f"keys {kind}", "keys", detail)])
    return made


def office_there(home: Path) -> bool:
    """Whether this home has an office with a database of this version; it is started if so."""
    import os

    from citycard.office.home import SQLITE_FILE

    if not (home / SQLITE_FILE).exists() and not os.environ.get("CITYCARD_DATABASE_URL"):
        return False
    from citycard.office.setup import check_database, setup

    setup(home)
    check_database()
    return True


def print_protocol(made: Protocol, pdf: Path | None) -> None:
    """Say what was recorded, and put it on paper when a file is named."""
    typer.echo(f"Protocol {made.number} / 记录 {made.number}: {made.hash}", err=True)
    if pdf is not None:
        from citycard.keys.protocol_pdf import pdf as paper

        pdf.write_bytes(paper(made))
        typer.echo(f"{pdf} written; custodians sign it / 请保管员签字", err=True)
