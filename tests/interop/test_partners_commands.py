# SPDX-License-Identifier: Apache-2.0
"""`citycard partners` as an operator uses it, from joining to reconciling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from citycard.core.problem import Problem
from tests.interop.conftest import DAY, EAST, HUB, PARTICIPANTS, WEST, Place

PASSPHRASE = "a passphrase for tests"


@pytest.fixture
def run(home: Path, db: None, still: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the command in this process, with a home folder of its own."""
    from citycard.cli import app

    monkeypatch.setenv("CITYCARD_PASSPHRASE", PASSPHRASE)
    runner = CliRunner()

    def call(*words: str, text: str = "") -> Result:
        return runner.invoke(app, ["partners", *words, "--home", str(home)], input=text)

    return call


def said(result: Result) -> Any:
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def test_an_operator_joins_exchanges_and_reconciles(run: Any, home: Path) -> None:
    from citycard.keys.partner import PartnerKey
    from citycard.office.partners import desk
    from citycard.office.partners.models import ExchangePosition

    told = said(run("init", HUB, "--hub", HUB, "--json"))
    assert said(run("init", HUB, "--hub", HUB, "--json")) == told  # the key stays
    assert PartnerKey.open(home, PASSPHRASE).public.hex() == told["public_key"]
    with pytest.raises(Problem) as caught:
        PartnerKey.open(home, "another")
    assert caught.value.code == "PARTNER_KEY_LOCKED"
    box = str(home / "box")
    for org, name in ((HUB, "Hub"), (WEST, "West"), (EAST, "East")):
        roles = "hub" if org == HUB else "issuer,acquirer"
        answer = run(
            "member", org, "--participant", PARTICIPANTS[org], "--name", name, "--roles", roles, "--box", box
        )
        assert answer.exit_code == 0, answer.output
    minted = run(
        "member", WEST, "--participant", PARTICIPANTS[WEST], "--name", "West", "--box", box, "--token"
    )
    assert "token ccp_" in minted.stdout
    assert run("token", WEST, text="ccp_theirs\n").exit_code == 0
    assert (home / "partners" / f"{WEST}.token").read_text() == "ccp_theirs"
    assert run("rate", "metro", "--charge-bp", "60", "--issuer-bp", "35", "--mcc", "4111").exit_code == 0
    assert run("rate", "metro", "--charge-bp", "60", "--issuer-bp", "70").exception.code == "RATE_INVALID"
    assert [(one.name, one.issuer_bp, one.mcc) for one in desk.rates()] == [("metro", 35, "4111")]
    assert run("publish", "--date", DAY.isoformat()).exit_code == 0
    assert said(run("close", "--date", DAY.isoformat(), "--json"))["taps"] == 0
    sent = said(run("exchange", "--json"))
    assert {org: len(done["sent"]) for org, done in sent.items()} == {
        WEST: 7,
        EAST: 7,
    }  # IN, BN, ER, CL, CR, BP, LD
    assert said(run("reconcile", "--json"))["sound"] is True
    assert run("reconcile").stdout.endswith("all agree\n")
    ExchangePosition.objects.create(
        settled_on=DAY, member_org=WEST, counterparty_org=HUB, taps=0, amount_fen=0, fee_fen=0,
        issuer_share_fen=0, acquirer_share_fen=0, net_fen=5,
    )  # fmt: skip
    wrong = run("reconcile")
    assert (wrong.exit_code, "DIFFERS" in wrong.stdout) == (1, True)


def test_a_file_is_shown_and_a_bad_one_is_told_by_line(run: Any, hub: Place, tmp_path: Path) -> None:
    from citycard.cli import app

    name, raw, _ = hub[WEST].file("DC", [{"pan": "1", "issuer_org": EAST, "action": 1, "listed_at": "x"}][:0])
    (tmp_path / name).write_bytes(raw)
    assert CliRunner().invoke(app, ["partners", "show", str(tmp_path / name)]).exit_code == 0
    (tmp_path / name).write_bytes(raw.replace(b"000000", b"000001", 1))
    wrong = CliRunner().invoke(app, ["partners", "show", str(tmp_path / name)])
    assert isinstance(wrong.exception, Problem)
    assert wrong.exception.code == "FILE_COUNT"
    fields = CliRunner().invoke(app, ["partners", "fields", "cl", "--json"])
    told = said(fields)
    assert (told["file"], told["bytes"], told["once"]) == ("CL", 335, ["serial"])
    amount = next(one for one in told["columns"] if one["column"] == "amount_fen")
    assert (amount["offset"], amount["bytes"], amount["example"]) == (147, 12, "000000000180")
    assert "| 162 | 6 | `error` |" in CliRunner().invoke(app, ["partners", "fields", "FB"]).stdout
    odd = CliRunner().invoke(app, ["partners", "fields", "XX"]).exception
    assert isinstance(odd, Problem)
    assert odd.code == "FILE_KIND"
    layouts = CliRunner().invoke(app, ["partners", "layouts", "--language", "zh"])
    assert "清分明细" in layouts.stdout


def test_a_city_closes_the_exchange_only_after_its_own_run(run: Any, west: Place) -> None:
    answer = run("close", "--date", DAY.isoformat())
    assert isinstance(answer.exception, Problem)
    assert answer.exception.code == "NOT_POSTED"
