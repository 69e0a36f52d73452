# SPDX-License-Identifier: Apache-2.0
"""Every exchange file against its own declaration, both ways, in both forms, and with everything wrong."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from citycard.core.interop import describe, files, signing
from citycard.core.interop.columns import Column, Format
from citycard.core.interop.files import FileName
from citycard.core.interop.formats import CL, FB, HUB, A
from citycard.core.interop.lists import FORMATS
from citycard.core.money import FEN_MAX
from citycard.core.problem import Problem
from citycard.core.tlv import tlv
from citycard.keys.partner import PartnerKey
from tests.support.parts import REPOSITORY

DAY = date(2026, 3, 2)
EXAMPLES = [
    pytest.param(one, text, dict(values), id=f"{one.id}-{number}")
    for one in FORMATS.values()
    for number, (text, values) in enumerate(one.examples)
]
every_format = pytest.mark.parametrize("layout", FORMATS.values(), ids=FORMATS)
every_form = pytest.mark.parametrize("form", files.FORMS)

# Card facts 8.2: offsets as two implementations agree on them.
FB_OFFSETS = {
    "serial": 0, "acquirer_serial": 12, "acquirer_date": 24, "reference": 32, "kind": 44, "clearing_org": 48,
    "issuer_org": 59, "acquirer_org": 70, "sender_org": 81, "mcc": 92, "channel": 96, "pan": 98, "counter": 118,
    "balance_before_fen": 124, "amount_fen": 136, "tapped_at": 148, "error": 162, "error_text": 168, "test": 208,
    "fee_fen": 209, "issuer_share_fen": 237, "acquirer_share_fen": 265, "reserved": 293, "tail": 321,
}  # fmt: skip
CL_OFFSETS = {
    "acquirer_org": 48, "acquirer_code": 59, "issuer_org": 70, "receiver_org": 81, "sender_org": 92, "mcc": 103,
    "channel": 107, "pan": 109, "counter": 129, "balance_before_fen": 135, "amount_fen": 147, "tapped_at": 159,
    "balance_type": 173, "algorithm": 174, "error": 176, "error_text": 182, "test": 222, "fee_fen": 223,
    "issuer_share_fen": 251, "acquirer_share_fen": 279, "reserved": 307,
}  # fmt: skip


def values_of(column: Column) -> st.SearchStrategy[Any]:
    """Whatever a column can hold."""
    size = column.size
    most = min(10 ** (size - 1) - 1, FEN_MAX)
    letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return {
        "number": st.integers(0, min(10**size - 1, FEN_MAX)),
        "signed": st.integers(-most, most),
        "text": st.text("ab 望江卡①Ω", max_size=size // 2).map(str.rstrip),
        "code": st.just("") | st.text(letters, min_size=size, max_size=size),
        "date": st.none() | st.dates(date(1, 1, 1)),
        "day": st.dates(date(1, 1, 1)),
        "time": st.times().map(lambda at: at.replace(microsecond=0)),
        "moment": st.datetimes(datetime(1, 1, 1)).map(lambda at: at.replace(microsecond=0)),
    }[column.kind]


def records_of(layout: Format) -> st.SearchStrategy[dict[str, Any]]:
    columns = {column.name: values_of(column) for column in layout.columns}
    tail = {"verification": st.binary(max_size=200).map(lambda raw: tlv(0xDF10, raw))}
    return st.fixed_dictionaries(columns | (tail if layout.tail_max else {}))


def name_of(file: str = "FB", form: str = files.TEXT, sequence: int = 7) -> FileName:
    return FileName(file, HUB, A, DAY, sequence, form)


def test_the_published_offsets_hold() -> None:
    assert FB.offsets == FB_OFFSETS
    assert FB.size == 361
    assert CL_OFFSETS.items() <= CL.offsets.items()
    assert CL.size == 335
    assert {one.id for one in FORMATS.values() if one.source == "facts"} == {"FB", "CL"}


@pytest.mark.parametrize(("layout", "text", "values"), EXAMPLES)
def test_examples_hold_both_ways(layout: Format, text: str, values: dict[str, Any]) -> None:
    assert layout.decode(text.encode("gbk")) == values
    assert layout.encode(values) == text.encode("gbk")


@every_format
@settings(max_examples=15)
@given(data=st.data())
def test_each_column_stands_in_its_own_bytes(layout: Format, data: st.DataObject) -> None:
    """Whatever a column holds changes the bytes the document gives it, and no others; read back by slices."""
    values = dict(layout.examples[0][1])
    raw = layout.encode(values)
    for column in layout.columns:
        changed = values | {column.name: data.draw(values_of(column))}
        at, end = layout.offsets[column.name], layout.offsets[column.name] + column.size
        line = layout.encode(changed)
        assert (line[:at], line[end:]) == (raw[:at], raw[end:]), column.name
        assert layout.decode(raw[:at] + line[at:end] + raw[end:]) == layout.decode(line)
        assert layout.decode(line)[column.name] == changed[column.name]


@every_form
@every_format
def test_no_two_records_of_a_file_go_by_one_name(layout: Format, form: str) -> None:
    name = name_of(layout.id, form)
    one = dict(layout.examples[0][1])
    with pytest.raises(Problem) as caught:
        files.read(name, files.write(name, [one, one]))
    first = 3 if form == files.TEXT else 2
    fields = caught.value.fields
    assert (caught.value.code, fields["line"], fields["before"]) == ("FILE_TWICE", first + 1, first)
    assert fields["column"] == "/".join(layout.once)
    assert str(first) in caught.value.text("zh")


def test_every_kind_of_file_has_its_example_and_every_column_its_meaning() -> None:
    listed = {"CD", "CL", "FB", "CR", "BP", "ED", "CM", "AD", "UC", "DC", "BN"}
    assert listed <= FORMATS.keys()
    assert all(one.examples and one.once for one in FORMATS.values())
    assert [
        (one.id, column.name) for one in FORMATS.values() for column in one.columns if not column.note
    ] == []


@every_form
@every_format
@settings(max_examples=15)
@given(data=st.data())
def test_what_is_written_is_read(layout: Format, form: str, data: st.DataObject) -> None:
    def told_apart_by(record: dict[str, Any]) -> Any:
        return tuple(record[name] for name in layout.once)

    records = data.draw(st.lists(records_of(layout), max_size=3, unique_by=told_apart_by))
    name = name_of(layout.id, form)
    raw = files.write(name, records)
    assert files.read(name, raw) == records
    assert FileName.parse(str(name)) == name
    if form == files.TEXT:
        assert files.read(name, raw.replace(b"\n", b"\r\n")) == records


@every_form
@settings(max_examples=60)
@given(data=st.data())
def test_a_spoilt_file_is_refused_in_words_or_is_another_file(form: str, data: st.DataObject) -> None:
    """Any byte changed: a `Problem` with its code, or a file that says something else; never a crash."""
    name = name_of("CL", form)
    one = dict(CL.examples[0][1])
    raw = bytearray(files.write(name, [one, one | {"serial": one["serial"] + 1}]))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[at]))
    try:
        again = files.write(name, files.read(name, bytes(raw)))
    except Problem as problem:
        assert problem.code.startswith("FILE_")
        assert problem.text("zh") != problem.text("en")
    else:
        assert form == files.LINES or again == bytes(raw)


GOOD = files.write(name_of(), [dict(FB.examples[0][1])])
CHINESE = files.write(name_of(), [dict(FB.examples[1][1])])
HEADER_AT, RECORD_AT = 3, 53  # where line 2 and line 3 begin
# what is done to the file                                          code            said of it
BAD_TEXT = [
    (lambda raw: b"02" + raw[2:],                                   "FILE_VERSION", "'02'"),
    (lambda raw: b"",                                               "FILE_VERSION", "''"),
    (lambda raw: raw[:10] + b"\n" + raw[RECORD_AT:],                "FILE_HEADER",  "length: 7 bytes, 49 wanted"),
    (lambda raw: raw[:HEADER_AT] + b"00000x" + raw[9:],             "FILE_HEADER",  "count"),
    (lambda raw: raw.replace(b"20260302" + A.encode(), b"20260303" + A.encode()), "FILE_HEADER", "(line 2) of"),
    (lambda raw: raw.replace(b"0361FFF", b"0360FFF"),               "FILE_HEADER",  "record length"),
    (lambda raw: raw.replace(b"000001202603", b"000002202603", 1),  "FILE_COUNT",   "says 2 records, 1 follow; line 3"),
    (lambda raw: raw + raw[RECORD_AT:],                             "FILE_COUNT",   "says 1 records, 2 follow; line 4"),
    (lambda raw: raw[:-2] + b"\n",                                  "FILE_LINE",    "Line 3 of a FB file has 360 bytes"),
    (lambda raw: raw[:-1] + b" \n",                                 "FILE_LINE",    "362 bytes"),
    (lambda raw: raw.replace(b"000000000180", b"00000000018O"),     "FILE_COLUMN",  "column amount_fen (bytes 137 to 148)"),
    (lambda raw: raw.replace(b"20260302080130", b"20260302086130"), "FILE_COLUMN",  "tapped_at"),
    (lambda raw: raw.replace(b"0" * 27 + b"2", b"9" * 28),          "FILE_COLUMN",  "fee_fen"),
    (lambda raw: raw.replace(b"0000000042  ", b"00\x000000042  "),  "FILE_COLUMN",  "reference"),
    (lambda raw: raw.replace(b"0000000042  ", b"\x81 00000042  "),  "FILE_COLUMN",  "reference"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "code", "said"), BAD_TEXT)
def test_a_bad_text_file_is_refused_by_line_and_column(spoil: Any, code: str, said: str) -> None:
    spoilt = spoil(GOOD)
    assert spoilt != GOOD
    with pytest.raises(Problem) as caught:
        files.read(name_of(), spoilt)
    assert (caught.value.code, said in caught.value.text()) == (code, True), caught.value.text()


def test_chinese_is_counted_in_bytes_and_never_cut_in_the_middle() -> None:
    at = RECORD_AT + FB.offsets["error_text"]
    assert CHINESE[at : at + 40].decode("gbk").rstrip() == "TAC 验证失败"
    assert len(CHINESE) == len(GOOD)
    cut = CHINESE[: at + 11] + b" " + CHINESE[at + 12 :]  # half of the last character is gone
    with pytest.raises(Problem, match="Line 3") as caught:
        files.read(name_of(), cut)
    assert caught.value.code == "FILE_COLUMN"
    for text in ("验" * 21, "🚇"):  # 42 bytes; not in GBK
        with pytest.raises(Problem) as caught:
            FB.encode(dict(FB.examples[1][1]) | {"error_text": text}, 3)
        assert (caught.value.code, caught.value.fields["column"]) == ("FILE_COLUMN", "error_text")
    with pytest.raises(Problem) as caught:  # UTF-8 bytes where GBK is due
        files.read(name_of(), CHINESE[:at] + "验证".encode() + b"\xff" + CHINESE[at + 7 :])
    assert caught.value.code == "FILE_COLUMN"


LINES = files.write(name_of(form=files.LINES), [dict(FB.examples[1][1])])
BAD_LINES = [
    (lambda raw: raw.replace(b'"citycard_exchange":1', b'"citycard_exchange":9'), "FILE_VERSION", "'9'"),
    (lambda raw: raw.replace(b'"count":1', b'"count":3'), "FILE_COUNT", "says 3 records, 1 follow"),
    (lambda raw: raw.replace(b'"sequence":7', b'"sequence":8'), "FILE_HEADER", "sequence"),
    (lambda raw: raw.replace(b'"amount_fen":180', b'"amount_fen":"180"'), "FILE_COLUMN", "amount_fen"),
    (lambda raw: raw.replace(b'"mcc"', b'"mmc"'), "FILE_JSON", "mcc"),
    (lambda raw: raw.replace(b"2026-03-02T08", b"2026-03-02T99"), "FILE_JSON", "Line 2"),
    (lambda raw: raw.replace("验".encode(), b"\xd1\xe9"), "FILE_ENCODING", "Line 2, byte"),
    (lambda raw: raw[:-3] + b"\n", "FILE_JSON", "Line 2"),
]


@pytest.mark.parametrize(("spoil", "code", "said"), BAD_LINES)
def test_a_bad_json_file_is_refused_by_line_and_column(spoil: Any, code: str, said: str) -> None:
    spoilt = spoil(LINES)
    assert spoilt != LINES
    with pytest.raises(Problem) as caught:
        files.read(name_of(form=files.LINES), spoilt)
    assert (caught.value.code, said in caught.value.text()) == (code, True), caught.value.text()
    assert json.loads(LINES.splitlines()[1])["error_text"] == "TAC 验证失败"


@pytest.mark.parametrize(
    "name",
    ["FB_1_2_20260302_000001.txt", f"XX_{A}_{HUB}_20260302_000001.txt", f"FB_{A}_{HUB}_20261302_000001.txt",
     f"FB_{A}_{HUB}_20260302_000000.txt", f"../FB_{A}_{HUB}_20260302_000001.txt", "FB"],
)  # fmt: skip
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Problem) as caught:
        FileName.parse(name)
    assert caught.value.code == "FILE_NAME"


def test_a_signature_covers_content_and_name_and_only_its_key_makes_it() -> None:
    key, other = PartnerKey.from_seed(b"\x01" * 32), PartnerKey.from_seed(b"\x02" * 32)  # keys for tests only
    name, digest = str(name_of()), files.digest_of(GOOD)
    made = key.sign(name, digest)
    signing.verify(name, digest, made, key.public)
    wrong = [
        (name, digest, made, other.public, "key is"),
        (name, files.digest_of(LINES), made, key.public, "other content"),
        (str(name_of(sequence=8)), digest, made, key.public, "file is"),
        (name, digest, None, key.public, "there is none"),
        (name, digest, made, None, "no public key"),
        (name, digest, b"{", key.public, "no signature file"),
        (name, digest, made.replace(b'"signature":"', b'"signature":"00'), key.public, "not made with"),
    ]
    for file, told, envelope, public, said in wrong:
        with pytest.raises(Problem, match=said) as caught:
            signing.verify(file, told, envelope, public)
        assert caught.value.code == "FILE_SIGNATURE"
    assert "01" * 8 not in repr(key)


def test_the_document_says_what_the_code_does() -> None:
    """docs/interoperability.md holds every layout, code and legal move as they are declared."""
    text = (REPOSITORY / "docs" / "interoperability.md").read_text(encoding="utf-8")
    for part in (describe.tables("en"), describe.moves(), describe.code_tables()):
        assert part in text
    assert "偏移" in describe.tables("zh")
