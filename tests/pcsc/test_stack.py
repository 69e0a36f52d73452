# SPDX-License-Identifier: Apache-2.0
"""pcscd and vpcd as they are, an emulated card in them, and software not written here that reads it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from citycard.cli import app
from citycard.core.card import T_UNION, blank_card
from citycard.core.dialogue import Refused, converse, identify, read_log
from citycard.core.problem import Problem
from citycard.services.contract import Event
from citycard.terminal import EmulatedLink, Outcome
from citycard.terminal.pcsc import PcscLink
from citycard.terminal.station import PersoData, personalise_card
from citycard.terminal.vpcd import Nothing
from tests.support import parts
from tests.support.pcscd import APPEAR_S, PrivatePcscd, commanded, in_reader
from tests.terminal import world

SELECT = "00 A4 04 00 08 A0 00 00 06 32 01 01 05 00"


def call(*command: str, **more: Any) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, **more).stdout


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["card", *words])


def test_software_not_written_here_reads_the_card(daemon: PrivatePcscd, link: PcscLink) -> None:
    name = daemon.reader()
    for program in ("opensc-tool", "scriptor"):
        parts.need(parts.program(program), program, "scripts/system installs it")
    with in_reader(daemon, EmulatedLink(world.new_card(balance_fen=5000))):
        link.wait(APPEAR_S)
        link.close()
        assert name in call("opensc-tool", "--list-readers")
        said = call("opensc-tool", "-r", name, "-s", SELECT, "-s", "80 5C 03 02 04")
        assert "6F 31 84 08 A0 00 00 06 32 01 01 05" in said
        assert "00 00 13 88" in said
        said = call(
            "scriptor", "-r", name, input=f"{SELECT}\n00 B0 97 00 0B\n00 B2 01 F4 00\n00 B0 97 00 00\n"
        )
        answers = [line for line in said.splitlines() if line.startswith("<") or line.endswith(".")]
        assert "90 00 : Normal processing." in answers[-1]
        assert "6A 83" in said  # no ride yet

        from smartcard.System import readers as all_readers

        reader = next(one for one in all_readers() if str(one) == name)
        connection = reader.createConnection()
        connection.connect()
        data, sw1, sw2 = connection.transmit(list(bytes.fromhex(SELECT)))
        assert (bytes(data[:2]), sw1, sw2) == (b"\x6f\x31", 0x90, 0x00)
        connection.disconnect()
        connection.release()


def test_a_card_is_made_loaded_and_travels_through_the_stack(daemon: PrivatePcscd, link: PcscLink) -> None:
    card = blank_card(T_UNION, world.TRANSPORT, world.draws(5))
    with in_reader(daemon, EmulatedLink(card)):
        link.wait(APPEAR_S)
        link.connect()
        data = PersoData(world.ISSUER, world.PAN, world.NOON.date(), world.NOON.date().replace(year=2035))
        assert personalise_card(world.vault(), link, data) is None
        assert isinstance(personalise_card(world.vault(), link, data), Refused)  # the transport key is gone
        clock = world.Clock()
        till = world.terminal(world.KIOSK, world.RETAIL, clock)
        assert till.load(link, 5000, world.Host()).outcome is Outcome.ACCEPTED
        entry = world.terminal(world.GATE_A, world.METRO, clock).tap(link, Event.ENTER)
        clock.forward(600)
        left = world.terminal(world.GATE_B, world.METRO, clock, station=2).tap(link, Event.EXIT)
        assert (entry.outcome, left.outcome, left.balance_fen) == ("accepted", "accepted", 4700)
        assert left.record is not None and world.tac_holds(left.record)
        parties = {"card": link}
        converse(identify(), parties)
        log = converse(read_log(), parties)
        assert isinstance(log, list)
        assert [(row["txn"], row["amount_fen"]) for row in log] == [(9, 300), (9, 0), (2, 5000)]


@pytest.mark.parametrize("heard", [True, False], ids=["answer lost", "command lost"])
def test_a_card_torn_away_at_the_debit_pays_once(daemon: PrivatePcscd, link: PcscLink, heard: bool) -> None:
    card = world.new_card(balance_fen=5000)
    shop = world.terminal(world.SHOP, world.RETAIL)
    with in_reader(daemon, EmulatedLink(card, tear_at=3, heard=heard)):  # SELECT, EF17, INIT, DEBIT
        link.wait(APPEAR_S)
        torn = shop.tap(link, Event.PAY, 1200)
        assert torn.outcome is Outcome.TORN
        assert torn.record is None
        deadline = time.monotonic() + APPEAR_S
        while (again := shop.tap(link, Event.PAY, 1200)).outcome is Outcome.TORN:
            assert time.monotonic() < deadline
        assert (again.outcome, again.balance_fen, again.recovered) == ("accepted", 3800, heard)
        assert again.record is not None and world.tac_holds(again.record)
        link.close()
    assert world.balance(card) == 3800


def test_what_keeps_a_person_from_a_card_is_said_in_words(daemon: PrivatePcscd) -> None:
    name = daemon.reader()
    said = json.loads(run("readers", "--json").stdout)["readers"]
    assert [(one["name"], one["card"]) for one in said] == [(name, False), (daemon.reader(1), False)]

    def code(*words: str) -> str:
        problem = run(*words).exception
        assert isinstance(problem, Problem), problem
        assert problem.text("en") != problem.text("zh")
        return problem.code

    assert code("info", "--reader", name, "--wait", "0") == "CARD_ABSENT"
    assert code("info", "--reader", "citycard") == "READER_AMBIGUOUS"
    assert code("info", "--reader", "gate 7") == "READER_UNKNOWN"
    assert code("info", "--wait", "0") == "READER_UNNAMED"
    with in_reader(daemon, Nothing()), in_reader(daemon, EmulatedLink(world.new_card(), tear_at=2), 1):
        with PcscLink(name) as link:
            link.wait(APPEAR_S)
        assert code("info", "--reader", name) == "CARD_KIND_UNKNOWN"
        assert code("info", "--reader", daemon.reader(1)) == "CARD_TORN"
        with PcscLink(daemon.reader(1)) as holder:
            holder.wait(APPEAR_S)
            holder.connect()
            assert code("info", "--reader", daemon.reader(1)) == "READER_BUSY"


def test_the_command_puts_a_card_into_the_reader_and_keeps_it(
    daemon: PrivatePcscd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, recorded = tmp_path / "card.img", tmp_path / "talk.txt"
    for name, value in {"CITYCARD_HOME": str(tmp_path), "CITYCARD_PASSPHRASE": "for tests"}.items():
        monkeypatch.setenv(name, value)
    assert CliRunner().invoke(app, ["keys", "init"]).exit_code == 0
    emulator = commanded(daemon, "card", "emulate", "--port", str(daemon.port), "--image", str(image))
    try:
        assert emulator.stderr is not None
        assert "in the reader" in emulator.stderr.readline()
        who = ["--issuer", world.ISSUER.hex(), "--pan", world.PAN, "--factory-key", "--json"]
        assert json.loads(run("personalise", *who).stdout)["pan"] == world.PAN
        assert json.loads(run("load", "50", "--json").stdout)["balance_fen"] == 5000
        paid = json.loads(run("purchase", "12.50", "--json", "--trace", "--record", str(recorded)).stdout)
        assert paid["balance_fen"] == 3750
        assert [cover["name"] for cover in paid["trace"][-2]["covers"]] == ["MAC1", "TAC", "MAC2"]
        assert "> 805401000F" in recorded.read_text(encoding="utf-8")
        assert json.loads(run("info", "--json").stdout)["balance_fen"] == 3750
    finally:
        emulator.send_signal(signal.SIGINT)
        emulator.wait(10)
    assert image.stat().st_mode & 0o077 == 0
    assert json.loads(run("info", "--image", str(image), "--json").stdout)["balance_fen"] == 3750
