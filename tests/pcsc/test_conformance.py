# SPDX-License-Identifier: Apache-2.0
"""The conformance kit over real PC/SC: a card on a reader, and cards played to a terminal that uses one."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from citycard.cli import app
from citycard.conform.specimens import Mint
from citycard.conform.stands import lived
from citycard.conform.terminal import folder
from citycard.conform.terminal.laboratory import Laboratory
from citycard.conform.terminal.own import OwnTerminals
from citycard.core.card import Card
from citycard.keys import FILE_NAME
from citycard.terminal import EmulatedLink
from citycard.terminal.pcsc import PcscLink
from tests.conform.world import batch
from tests.support.pcscd import APPEAR_S, AWAY_S, PrivatePcscd, commanded, in_reader

PLAYED = ("TT-GOO-002", "TT-TOR-004", "TT-REF-001")  # a card that pays, one torn after DEBIT, one listed


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A laboratory's folder, its passphrase in the environment."""
    monkeypatch.setenv("CITYCARD_PASSPHRASE", "for tests")
    assert CliRunner().invoke(app, ["conform", "terminal", "prepare", str(tmp_path)]).exit_code == 0
    return tmp_path


@pytest.mark.parametrize("writes", [False, True], ids=["read only", "allowed to write"])
def test_a_card_on_a_reader_passes(daemon: PrivatePcscd, lab: Path, writes: bool) -> None:
    mint = Mint(folder.open_vault(lab, lambda: "for tests"), Random(3).randbytes)
    card = Card.from_image(lived(mint), mint.random)
    before = card.image()
    words = ["conform", "card", "--reader", daemon.reader(), "--keys", str(lab / FILE_NAME)]
    words += ["--samples", "20", "--report", str(lab / "report"), "--json"]
    with in_reader(daemon, EmulatedLink(card)):
        run = CliRunner().invoke(app, [*words, "--allow-write"] if writes else words)
    assert run.exit_code == 0, run.output
    counts = json.loads(run.stdout)["counts"]
    assert counts["pass"] > (140 if writes else 60)
    assert counts["fail"] == 0
    assert (card.image() == before) is not writes


def test_cards_are_played_to_a_terminal_and_its_batches_judged(
    daemon: PrivatePcscd, link: PcscLink, lab: Path
) -> None:
    """The terminal under test is our own, at a reader; a person, here the test, presents what is told."""
    under_test = OwnTerminals(Laboratory(folder.open_vault(lab, lambda: "for tests"), Random(4).randbytes))
    cases = [word for id_ in PLAYED for word in ("--case", id_)]
    player = commanded(daemon, "conform", "terminal", "play", str(lab), "--port", str(daemon.port), *cases)
    assert player.stdin is not None and player.stderr is not None
    try:
        for line in player.stderr:  # the prompts end no line
            asked = re.search(r"(\w+): card \d+$", line)
            if not asked:
                continue
            time.sleep(AWAY_S)  # the card before is seen to be gone
            player.stdin.write("\n")  # present
            player.stdin.flush()
            link.wait(APPEAR_S)
            under_test.wait(60)
            under_test.tap(asked[1], link)
            player.stdin.write("\n")  # take away
            player.stdin.flush()
        assert player.wait(10) == 0
    finally:
        player.kill()
        player.wait()
    files = []
    for terminal in under_test.terminals.values():
        if records := terminal.journal.records():
            files.append(lab / f"{terminal.config.terminal.hex()}.ccb")
            files[-1].write_bytes(batch(under_test.laboratory.vault, records))
    words = ["conform", "terminal", "judge", str(lab), *map(str, files), "--report", str(lab / "r"), "--json"]
    judged = CliRunner().invoke(app, [*words, *cases])
    assert judged.exit_code == 0, judged.output
    assert json.loads(judged.stdout)["counts"] == {
        "pass": len(PLAYED) + 3, "fail": 0, "inconclusive": 0, "not run": 0,
    }  # fmt: skip
