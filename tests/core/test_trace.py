# SPDX-License-Identifier: Apache-2.0
"""The trace: every byte explained once, MACs covered by the right fields, any bytes without an exception."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from citycard.core import purse, tunion
from citycard.core.crypto import SUITES
from citycard.core.trace import Presented, Said, Traced, Tracer, as_plain, export, parse, sentence, written
from citycard.core.trace.commands import COMMANDS
from citycard.core.trace.layouts import FILES
from citycard.core.trace.status import MEANINGS
from citycard.core.trace.values import TONES
from citycard.core.trace.words import TITLES
from citycard.services.contract import Event
from citycard.terminal import EmulatedLink, ReplayLink, ReplayMismatch, TracedLink, TracedSam
from tests.terminal import world

Step = Traced | Presented


def journey(tear_at: int | None = None, algorithm: int = 0) -> list[Step]:
    """Load, entry, exit (torn away at an exchange), the same exit again; PSAM included."""
    steps: list[Step] = []
    tracer, clock = Tracer(), world.Clock()
    card = world.new_card(balance_fen=5000, algorithm=algorithm)

    def tapped(number: bytes, event: Event, tear_at: int | None = None, station: int = 1) -> None:
        if number not in gates:
            gates[number] = world.terminal(number, world.METRO, clock, station=station)
            gates[number].sam = TracedSam(gates[number].sam, tracer, steps.append)
        gate = gates[number]
        gate.tap(TracedLink(EmulatedLink(card, tear_at), tracer, steps.append), event)
        clock.forward(600)

    gates: dict[bytes, world.Terminal] = {}
    till = world.terminal(world.KIOSK, world.RETAIL, clock)
    till.load(TracedLink(EmulatedLink(card), tracer, steps.append), 1000, world.Host())
    tapped(world.GATE_A, Event.ENTER)
    tapped(world.GATE_B, Event.EXIT, tear_at, 2)
    tapped(world.GATE_B, Event.EXIT)
    return steps


def traced(steps: Iterable[Step]) -> list[Traced]:
    return [step for step in steps if isinstance(step, Traced)]


def cuts_every_byte_once(step: Traced) -> None:
    for raw, spans in ((step.command, step.spans), (step.response or b"", step.answer)):
        at = 0
        for span in spans:
            assert (span.start, span.tone in TONES) == (at, True)
            assert span.length > 0
            at = span.stop
        assert at == len(raw)


# What is said


def test_a_conversation_is_told_in_two_languages() -> None:
    told = [sentence(step) for step in traced(journey())[:8]]
    assert told[0] == "SELECT: T-Union purse → 9000 done"
    assert told[2] == "INITIALIZE FOR LOAD: purse, 10.00 yuan → 9000 done"
    assert "READ RECORD: EF1E public-transport process, record 1 → 6A83 there is no such record" in told
    chinese = [sentence(step, "zh") for step in traced(journey())[:3]]
    assert chinese[2] == "圈存初始化：电子钱包，10.00 元 → 9000 成功"


def test_fields_carry_the_names_of_the_declared_layouts() -> None:
    staged = next(s for s in traced(journey()) if s.command[:4] == bytes.fromhex("80DC01D4"))
    named = {span.name: span.meaning.en for span in staged.spans}
    assert set(tunion.METRO.offsets) <= set(named)
    assert (named["status"], named["entry_line"]) == ("entered", "1")
    select = traced(journey())[0]
    public = {span.name: span.meaning for span in select.answer}
    assert (public["pan"].en, public["enabled"].zh) == (world.PAN, "是")
    for layout in (layout for files in FILES.values() for layout in files.values()):
        assert {field.name for field in layout.fields} <= TITLES.keys()
    for known in COMMANDS.values():
        for one in [known] if not isinstance(known, dict) else known.values():
            for layout in (one.request, one.answer):
                assert {field.name for field in getattr(layout, "fields", ())} <= TITLES.keys()


def test_every_status_word_and_title_has_both_languages() -> None:
    for words in MEANINGS.values():
        assert words.en and words.zh and words.en != words.zh
    assert all(tone in TONES for _, _, tone in TITLES.values())


# What MACs cover


@pytest.mark.parametrize("algorithm", sorted(SUITES))
def test_what_is_told_as_covered_is_what_was_maced(algorithm: int) -> None:
    """The told bytes, MACed with the true keys, give the MACs on the wire: load, entry, exit and proof."""
    vault, factors = world.vault(), tunion.factors(world.ISSUER, world.PAN)
    steps = traced(journey(tear_at=7, algorithm=algorithm))
    seen: list[str] = []
    for step in steps:
        for cover in step.covers:
            message, variable = cover.message, b"".join(part.data or b"" for part in cover.variable)
            assert message is not None
            if cover.name == "TAC":
                made = vault.tac("tac", 1, factors, message, suite=algorithm)
            else:
                key = "load" if "load" in cover.key.en else "purchase"
                made = vault.session(key, 1, factors, variable, suite=algorithm).mac(message)
            assert made == cover.value, (sentence(step), cover.name)
            seen.append(f"{step.title.en.split()[0]} {cover.name}")
    assert {"INITIALIZE MAC1", "CREDIT MAC2", "CREDIT TAC", "INIT MAC1", "DEBIT MAC1", "DEBIT MAC2"} <= set(
        seen
    )
    assert {"DEBIT TAC", "GET MAC2", "GET TAC"} <= set(seen)


def test_unload_and_overdraft_are_covered_as_the_purse_says() -> None:
    """No card here makes these yet: the facts' formulas by hand (section 1.3)."""
    tracer, term, moment = Tracer(), bytes(range(6)), bytes.fromhex("20240115083000")
    rand, mac, amount = bytes.fromhex("01020304"), bytes.fromhex("B1B1BEEB"), purse.u32(1000)
    tracer("card", bytes.fromhex("805005010B01") + amount + term + b"\x10",
           purse.u32(10_000) + b"\x00\x05\x01\x00" + rand + mac + b"\x90\x00")  # fmt: skip
    done = tracer("card", bytes.fromhex("805403000B") + moment + mac + b"\x04", mac + b"\x90\x00")
    found = {cover.name: cover.message for cover in done.covers}
    assert found["MAC2"] == purse.load_mac2(1000, purse.Txn.UNLOAD, term, moment)
    assert found["MAC3"] == purse.load_tac(9000, 5, 1000, purse.Txn.UNLOAD, term, moment)
    tracer("card", bytes.fromhex("805004010701") + term + b"\x13",
           purse.u32(9000) + b"\x00\x06" + bytes(3) + b"\x01\x00" + rand + mac + b"\x90\x00")  # fmt: skip
    done = tracer("card", bytes.fromhex("805800000E0003E8") + moment + mac + b"\x04", mac + b"\x90\x00")
    found = {cover.name: cover.message for cover in done.covers}
    assert found["MAC2"] == bytes.fromhex("0003E807") + term + moment
    assert found["TAC"] == purse.u32(9000) + bytes.fromhex("00060003E807") + term + moment


def test_a_secure_message_covers_its_header_and_data_under_the_challenge() -> None:
    tracer = Tracer()
    tracer("card", bytes.fromhex("0084000004"), bytes.fromhex("5A6B7C8D9000"))
    blocked = tracer("card", bytes.fromhex("841E0000046D20E23B"), b"\x90\x00")
    (cover,) = blocked.covers
    assert (cover.message, cover.variable[0].data) == (bytes.fromhex("841E000004"), bytes.fromhex("5A6B7C8D"))
    assert sentence(blocked) == "APPLICATION BLOCK: until unblocked → 9000 done"


def test_keys_and_pins_in_clear_are_not_shown() -> None:
    """The vendor script writes keys in plain text: the trace knows that they are there, and no more."""
    key = "00112233445566778899AABBCCDDEEFF"  # a key of this test
    for command in (
        f"80D40101153EF0020001{key}",
        "0020000003123456",
        "805E000006123456AABBCCDD",
        f"80D4010199{key}",
    ):
        step = Tracer()("card", bytes.fromhex(command), b"\x90\x00")
        shown = f"{step!r} {as_plain(step)} {export([step])}"
        assert key not in shown and "123456" not in shown.replace("90", "")
        (said,) = parse(export([step]))
        assert isinstance(said, Said) and said.fits(bytes.fromhex(command))
        assert not said.fits(bytes.fromhex(command[:-2] + "00" if "805E" in command else "FF" + command[2:]))


# Any bytes

heads = st.sampled_from([bytes((cla, ins)) for cla, ins in COMMANDS])
noise = st.binary(max_size=300)
commands = st.one_of(noise, st.builds(lambda a, b: a + b, heads, noise),
                     st.builds(lambda a, p, b: a + p + bytes((len(b),)) + b, heads, st.binary(min_size=2, max_size=2), st.binary(min_size=1, max_size=140)))  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["card", "sam", "host"]), commands, st.none() | noise), max_size=6))
@example([("card", b"\x00\xa4\x04\x00\x01\x00", b"\x6f\x85\x90\x00"), ("card", b"", b"")])
def test_any_bytes_are_explained(talk: list[tuple[str, bytes, bytes | None]]) -> None:
    tracer = Tracer()
    steps = [tracer(*words) for words in talk]
    for step in steps:
        cuts_every_byte_once(step)
        assert sentence(step) and sentence(step, "zh") and as_plain(step)
    said = list(parse(export(steps)))
    assert [(s.party, s.response) for s in said if isinstance(s, Said)] == [
        (step.party, step.response) for step in steps
    ]


@given(st.integers(0, 0xFFFF))
def test_every_status_word_means_something(sw: int) -> None:
    step = Tracer()("card", b"\x00\x84\x00\x00\x08", sw.to_bytes(2, "big"))
    assert step.status.en and step.status.zh


# The file


def test_an_exported_trace_is_replayed_by_the_terminal() -> None:
    """The same dialogue against the recording: same commands, same end, tear and all."""
    steps = journey(tear_at=6)
    text = export(steps, "load, entry, exit torn at the record, exit", "zh")
    assert [type(one).__name__ for one in parse(text)].count("Presented") == 4
    link = ReplayLink(text)
    link.connect()
    for step in traced(steps):
        if step.party == "card" and step.response is not None:
            assert link(step.command) == step.response
        elif step.party == "card":
            with pytest.raises(Exception, match="left"):
                link(step.command)
            link.connect()
        if link.finished:
            break
        if isinstance(link._steps[link._next], Presented):
            assert link.connect() == bytes.fromhex("3B80800101")
    assert link.finished
    other = ReplayLink(text)
    for _ in range(2):  # before the card is presented, and then another command than the recorded one
        with pytest.raises(ReplayMismatch):
            other(b"\x00\x84\x00\x00\x08")
        other.connect()


def test_a_written_command_hides_what_is_secret() -> None:
    step = Tracer()("card", bytes.fromhex("0020000003123456"), b"\x63\xc2")
    assert written(step.command, step) == "0020000003......"
    assert step.status.en == "verification failed, 2 tries left"


def test_a_secure_channel_is_told_by_its_fields() -> None:
    """The published SCP02 session of facts 7.1, begun without a SELECT."""
    tracer = Tracer()
    answer = "00000000000000000000" + "7002" + "0001" + "6B4524ABEE7C" + "F32EA3838BC148F3"
    opened = tracer("card", bytes.fromhex("805070000840A62C37FA6304F800"), bytes.fromhex(answer + "9000"))
    named = {span.name: span.meaning.en for span in opened.answer}
    assert (opened.title.en, named["sequence"], named["card_challenge"]) == (
        "INITIALIZE UPDATE", "1", "6B4524ABEE7C",
    )  # fmt: skip
    proved = tracer("card", bytes.fromhex("8482010010BA6961667737C5BCEBECE14C7D6A4376"), b"\x90\x00")
    (cover,) = proved.covers
    assert (cover.value.hex().upper(), cover.message) == (
        "EBECE14C7D6A4376", bytes.fromhex("8482010010BA6961667737C5BC"),
    )  # fmt: skip
    assert sentence(proved) == "EXTERNAL AUTHENTICATE: C-MAC → 9000 done"
    assert sentence(tracer("card", bytes.fromhex("84F220020814DB34FA4341DCA8"), b"\x90\x00")).startswith(
        "GET STATUS"
    )
    scp03 = "00000000000000000000" + "300370" + "3EB51047495B249F" + "66C484C1D2EF1948" + "000002"
    third = Tracer()("card", bytes.fromhex("8050300008B13E5F938FC108C400"), bytes.fromhex(scp03 + "9000"))
    assert {span.name: span.meaning.en for span in third.answer}["sequence"] == "2"
