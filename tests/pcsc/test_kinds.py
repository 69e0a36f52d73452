# SPDX-License-Identifier: Apache-2.0
"""Cards of every kind: what the commands tell of them, and what others read of them through a real pcscd."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from citycard.cli import app
from citycard.core import mohurd
from citycard.core.dialogue import converse, ticket
from citycard.core.dialogue.survey import STORAGE
from citycard.core.kinds import kinds, new_card
from citycard.core.storage.part3 import Kind
from citycard.terminal import EmulatedLink
from citycard.terminal.pcsc import PcscLink
from tests.dialogue.storage_cast import sam
from tests.support import parts
from tests.support.pcscd import APPEAR_S, PrivatePcscd, in_reader

TRANSPORT = b"\xff" * 16


def told(command: str, image: Path, *more: str) -> Any:
    run = CliRunner().invoke(app, ["card", command, "--image", str(image), "--json", *more])
    assert run.exit_code == 0, (command, run.output, run.exception)
    return json.loads(run.stdout)


@pytest.mark.parametrize("kind", [*kinds(), "gp:mohurd"])
def test_info_and_read_tell_something_of_every_kind(kind: str, tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    card = new_card(kind, TRANSPORT, Random(kind).randbytes)
    image.write_bytes(card.image())
    info, files = told("info", image), told("read", image)["files"]
    base = {"t-union-dual": "t-union", "multi": "t-union", "gp": "t-union", "gp:mohurd": "mohurd"}
    assert info["kind"] == {**base, "contact": "pboc", "fmcos": "cpu"}.get(kind, kind)
    assert bool(info.get("domain")) is kind.startswith("gp")
    assert bool(info.get("uid")) is (kind in STORAGE.values())
    assert (info.get("balance_fen") == 0) is (info["kind"] in ("t-union", "mohurd", "pboc"))
    assert bool(files) is (kind not in ("fmcos", "tag"))
    assert "FFFFFFFFFFFF" not in json.dumps(files)  # a trailer's keys


def test_a_sector_of_another_key_opens_with_the_key_given(tmp_path: Path) -> None:
    image, card = tmp_path / "card.img", new_card("m1-1k", TRANSPORT, Random(5).randbytes)
    card.power_on()
    for command in (
        "FF820000 06 FFFFFFFFFFFF", "FF860000 05 0100056000",
        "FFD60005 10 2C010000D3FEFFFF2C010000 05FA05FA",  # 300 as a value block
        "FFD60007 10 A1A2A3A4A5A6 FF078069 B1B2B3B4B5B6",
    ):  # fmt: skip
        assert card.process(bytes.fromhex(command)) == b"\x90\x00"
    image.write_bytes(card.image())
    assert {row["sector"] for row in told("info", image)["sectors"]} == set(range(16)) - {1}
    given = told("info", image, "--key", "A1A2A3A4A5A6")["sectors"]
    assert [row for row in given if not row["default"]] == [{"sector": 1, "key": "A", "default": False}]
    files = {file["what"]: file["fields"] for file in told("read", image, "--key", "A1A2A3A4A5A6")["files"]}
    assert [(one["name"], one["meaning"]) for one in files["block 5"]] == [("value", "300")]
    assert "B1B2B3" not in json.dumps(files)
    wrong = CliRunner().invoke(app, ["card", "info", "--image", str(image), "--key", "12"])
    assert getattr(wrong.exception, "code", "") == "SECTOR_KEY"


def test_a_ticket_and_a_city_card_tell_their_fields(tmp_path: Path) -> None:
    image, chip = tmp_path / "card.img", new_card("ultralight", TRANSPORT, Random(6).randbytes)
    chip.power_on()
    valid, issuer = (date(2026, 1, 1), date(2026, 12, 31)), bytes(8)
    converse(
        ticket.issue(sam(), product=7, rides=2, serial=42, valid=valid, issuer=issuer), {"card": chip.process}
    )
    image.write_bytes(chip.image())
    found = told("info", image)["ticket"]
    assert (found["product"], found["rides"], found["valid_until"]) == (7, 2, "2026-12-31")
    image.write_bytes(new_card("mohurd", TRANSPORT, Random(7).randbytes).image())
    names = [file["what"] for file in told("read", image)["files"]]
    assert "EF05 card information" in names
    assert sum(name.startswith("EF17") for name in names) == len(mohurd.composite_records())
    assert told("log", image)["log"] == []


# Through the stack


@pytest.fixture
def laid(daemon: PrivatePcscd, link: PcscLink, request: pytest.FixtureRequest) -> Iterator[str]:
    """A card of the kind named by the test in the reader, and nobody at it; the reader's name."""
    card = new_card(request.param, TRANSPORT, Random(8).randbytes)
    with in_reader(daemon, EmulatedLink(card)):
        link.wait(APPEAR_S)
        link.close()
        yield daemon.reader()


def opensc(reader: str, *commands: str) -> str:
    program = parts.need(parts.program("opensc-tool"), "opensc-tool", "scripts/system installs it")
    sent = [word for command in commands for word in ("-s", command)]
    return subprocess.run(
        [program, "-r", reader, *sent], capture_output=True, text=True, timeout=20, check=True
    ).stdout


@pytest.mark.parametrize("laid", ["gp"], indirect=True)
def test_others_find_the_security_domain(laid: str) -> None:
    said = opensc(laid, "00A4040008A00000015100000000", "80CA006600", "80CA00E000")
    assert "6F 4F 84 08 A0 00 00 01 51 00 00 00" in said
    assert said.count("SW1=0x90, SW2=0x00") == 3


@pytest.mark.parametrize("laid", ["m1-1k"], indirect=True)
def test_pyscard_reads_and_counts_on_an_m1_card(laid: str) -> None:
    from smartcard.System import readers

    connection = next(one for one in readers() if str(one) == laid).createConnection()
    connection.connect()

    def say(command: str) -> str:
        data, sw1, sw2 = connection.transmit(list(bytes.fromhex(command)))
        return bytes([*data, sw1, sw2]).hex().upper()

    assert bytes(connection.getATR()).hex().upper() == "3B8F8001804F0CA000000306030001000000006A"
    assert len(say("FFCA000000")) == 2 * 6
    assert say("FF8200000 6FFFFFFFFFFFF".replace(" ", "")) == "9000"
    assert say("FF860000050100046000") == "9000"
    assert say("FFD600041064000000 9BFFFFFF 64000000 04FB04FB".replace(" ", "")) == "9000"
    assert say("FFB0000410").startswith("640000009BFFFFFF")
    assert say("FFB0000810") != "9000"  # another sector: not authenticated
    connection.disconnect()
    connection.release()


@pytest.mark.parametrize("laid", ["ultralight"], indirect=True)
def test_scriptor_writes_a_page_of_a_ticket(laid: str) -> None:
    program = parts.need(parts.program("scriptor"), "scriptor", "scripts/system installs it")
    said = subprocess.run(
        [program, "-r", laid], input="FF CA 00 00 00\nFF D6 00 04 04 01 02 03 04\nFF B0 00 04 10\n",
        capture_output=True, text=True, timeout=20, check=True,
    ).stdout  # fmt: skip
    assert "01 02 03 04 00 00" in said
    assert said.count("90 00 :") == 3


@pytest.mark.parametrize("laid", ["contact"], indirect=True)
def test_a_contact_card_is_selected_by_name_over_t0(laid: str) -> None:
    said = opensc(laid, "00A4040009A0000000038698070100", "00B0950000")
    assert "84 09 A0 00 00 00 03 86 98 07 01" in said
    assert said.count("SW1=0x90, SW2=0x00") == 2
    info = json.loads(CliRunner().invoke(app, ["card", "info", "--reader", laid, "--json"]).stdout)
    assert (info["kind"], info["atr"]) == ("pboc", "3b600000")


def test_the_storage_kinds_are_those_that_can_be_made() -> None:
    assert list(STORAGE) == list(Kind)
    assert set(STORAGE.values()) <= set(kinds())
