# SPDX-License-Identifier: Apache-2.0
"""A ceremony from the first passphrase to the last protocol, as custodians type it; no component in clear."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from citycard.cli import dual
from citycard.cli.keys import app
from citycard.core.problem import Problem
from citycard.keys import MemoryCounter, Psam, SoftVault, custodians, envelope, protocol
from citycard.keys.custodians import read_share
from citycard.keys.protocol_pdf import marked
from citycard.keys.shares import combine
from tests.keys.cast import FACTORS, TERMINAL

PEOPLE = ("Li Na", "王芳", "Zhao")
PHRASES = {"Li Na": "li-passphrase-1", "王芳": "王芳的口令八个字以上", "Zhao": "zhao-passphrase-3"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CITYCARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CITYCARD_PASSPHRASE", "vault passphrase")
    monkeypatch.delenv("CITYCARD_DATABASE_URL", raising=False)
    for function in (custodians.Custodians.__init__, custodians.write_share):
        monkeypatch.setitem(function.__kwdefaults__, "cost", envelope.CHEAP)
    return tmp_path / "home"


def keys(*words: object, typed: tuple[str, ...] = ()) -> Result:
    lines = "".join(f"{line}\n" for line in typed)
    return CliRunner().invoke(app, [str(word) for word in words], input=lines)


def good(*words: object, typed: tuple[str, ...] = ()) -> dict[str, object]:
    ran = keys(*words, "--json", typed=typed)
    assert ran.exit_code == 0, f"{ran.exception!r} {ran.output}"
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def code_of(*words: object, typed: tuple[str, ...] = ()) -> str:
    ran = keys(*words, typed=typed)
    assert isinstance(ran.exception, Problem), f"{ran.exception!r} {ran.output}"
    return ran.exception.code


def named(*names: str) -> list[str]:
    return [word for name in names for word in ("--custodian", name)]


def phrases(*names: str) -> tuple[str, ...]:
    return tuple(PHRASES[name] for name in names)


def hold(home: Path, *more: object) -> tuple[dict[str, object], list[Path]]:
    """A ceremony of three, two of whom are needed, with share files."""
    shares = home.parent / "shares"
    made = good(
        "ceremony", "make", *named(*PEOPLE), "--threshold", 2, "--shares-to", shares, "--stdin", *more,
        typed=phrases(*PEOPLE),
    )  # fmt: skip
    return made, sorted(shares.iterdir())


def test_two_of_three_make_the_same_keys_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, shares = hold(home, "--suite", "3DES", "--suite", "SM4")
    assert (made["kind"], made["facts"]["needed"], len(made["keys"])) == ("make", "2 of 3", 12)  # type: ignore[index, arg-type]
    assert [row["custodian"] for row in made["components"]] == list(PEOPLE)  # type: ignore[attr-defined]
    lost = home.parent / "new-home"
    monkeypatch.setenv("CITYCARD_HOME", str(lost))
    again = good(
        "ceremony", "restore", *named("Li Na", "Zhao"), "--share-file", shares[0], "--share-file", shares[2],
        "--suite", "3DES", "--suite", "SM4", "--stdin", typed=phrases("Li Na", "Zhao"),
    )  # fmt: skip
    assert again["keys"] == made["keys"]
    old, new = (SoftVault.open(one / "vault.ccv", "vault passphrase") for one in (home, lost))
    assert old.tac("tac", 1, FACTORS, b"message") == new.tac("tac", 1, FACTORS, b"message")
    # The other pair types what was written down.
    monkeypatch.setenv("CITYCARD_HOME", str(home.parent / "third-home"))
    texts = tuple(read_share(shares[n], PHRASES[PEOPLE[n]]).text() for n in (2, 1))
    typed = good("ceremony", "restore", *named("Zhao", "王芳"), "--stdin", typed=texts)
    assert typed["keys"] == [row for row in made["keys"] if row["suite"] == "3DES"]  # type: ignore[attr-defined]


def test_no_component_and_no_passphrase_on_disk_in_clear(home: Path) -> None:
    _, shares = hold(home)
    components = [read_share(path, phrase) for path, phrase in zip(shares, phrases(*PEOPLE), strict=True)]
    secrets = [combine(components[:2]), *(one.data for one in components)]
    texts = [one.text() for one in components] + list(PHRASES.values())
    for path in home.parent.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert not any(
                bytes(secret) in raw or bytes(secret).hex().encode() in raw.lower() for secret in secrets
            )
            assert not any(text.encode() in raw or text.replace(" ", "").encode() in raw for text in texts)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in shares)


def test_what_goes_wrong_at_a_ceremony(home: Path) -> None:
    make = ("ceremony", "make", "--stdin", "--shares-to", home.parent / "s")
    assert code_of(*make, *named("Li Na")) == "CUSTODIAN_TWO"
    assert code_of(*make, *named("Li Na", "Li Na")) == "CUSTODIAN_TWO"
    assert code_of(*make, *named(*PEOPLE), "--threshold", 4) == "SHARE_PEOPLE"
    assert code_of(*make, *named(*PEOPLE), typed=("long enough",)) == "INPUT_ENDED"
    assert code_of(*make, *named("Li Na", "Zhao"), typed=("short", "short")) == "CUSTODIAN_WEAK"
    assert (
        code_of("ceremony", "make", *named("Li Na", "Zhao"), "--stdin", typed=phrases("Li Na", "Zhao"))
        == "NEEDS_TERMINAL"
    )
    assert not (home / protocol.FILE).exists()
    home.joinpath(custodians.FILE).unlink()
    _, shares = hold(home)
    # The vault has keys now, and they are not those of another secret.
    assert code_of(*make, *named("Li Na", "Zhao"), typed=phrases("Li Na", "Zhao")) == "CEREMONY_OTHER"
    assert (
        code_of(*make, *named("Li Na", "Eve"), typed=("li-passphrase-1", "eve-passphrase"))
        == "CUSTODIAN_UNKNOWN"
    )
    assert code_of(*make, *named("Li Na", "Zhao"), typed=("another one", "x")) == "CUSTODIAN_PASSPHRASE"
    restore = ("ceremony", "restore", *named("Li Na", "Zhao"), "--stdin")
    files = ("--share-file", shares[0], "--share-file", shares[1])
    assert code_of(*restore, *files, typed=("wrong one", "wrong")) == "VAULT_PASSPHRASE"
    assert code_of(*restore, "--share-file", home / "none", typed=("x",)) == "SHARE_FILE"
    assert code_of(*restore, "--share-file", shares[0], typed=phrases("Li Na")) == "SHARE_COUNT"
    assert code_of(*restore, typed=("no component", "x")) == "SHARE_TEXT"
    altered = shares[0].with_name("altered.share")
    for bit in range(0, 8 * shares[0].stat().st_size, 97):
        raw = bytearray(shares[0].read_bytes())
        raw[bit // 8] ^= 1 << bit % 8
        altered.write_bytes(raw)
        assert code_of(*restore, "--share-file", altered, typed=phrases("Li Na")) == "VAULT_DAMAGED"


def test_custodians_may_bring_their_own(home: Path) -> None:
    make = ("ceremony", "make", *named("Li Na", "Zhao"), "--own", "--shares-to", home.parent / "s", "--stdin")
    brought = (bytes(range(32)).hex(), bytes(range(32, 64)).hex())
    typed = (*phrases("Li Na", "Zhao"), *brought)
    assert code_of(*make, typed=typed) == "CEREMONY_OWN"
    assert code_of(*make, "--method", "xor", typed=(*typed[:2], "xyz", "")) == "CEREMONY_OWN"
    assert code_of(*make, "--method", "xor", typed=(*typed[:2], "00", "")) == "CEREMONY_OWN"
    made = good(*make, "--method", "xor", typed=typed)
    assert made["facts"]["needed"] == "2 of 2"  # type: ignore[index]
    shares = sorted((home.parent / "s").iterdir())
    parts = [
        read_share(path, phrase).data for path, phrase in zip(shares, phrases("Li Na", "Zhao"), strict=True)
    ]
    assert [bytes(part).hex() for part in parts] == list(brought)


def test_a_component_is_shown_to_its_custodian_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal: shown, its check value typed back (wrongly once), the screen cleared."""
    shown: list[str] = []
    answers = {"Passphrase": iter(phrases("Li Na", "Zhao"))}

    def prompt(text: str, **how: object) -> str:
        if how.get("hide_input"):
            return next(answers["Passphrase"])
        if "check value" in text:
            told = next(
                line.split()[-1] for line in shown[::-1] if "校验值" in line and "check value /" in line
            )
            wrong = not any("another value" in line for line in shown)
            return "000000" if wrong else told.lower()
        return ""

    monkeypatch.setattr(dual.sys, "stdin", type("Tty", (), {"isatty": lambda self: True})())
    monkeypatch.setattr(
        dual.sys,
        "stdout",
        type(
            "Tty",
            (),
            {"isatty": lambda self: True, "write": lambda self, text: None, "flush": lambda self: None},
        )(),
    )
    monkeypatch.setattr(dual.typer, "prompt", prompt)
    monkeypatch.setattr(dual.typer, "echo", lambda text="", **_: shown.extend(str(text).split("\n")))
    from citycard.cli import ceremony

    ceremony.make(["Li Na", "Zhao"], home=home)
    assert sum(bool(re.fullmatch(r"([A-Z2-7]{4} ){17}[A-Z2-7]{3}", line)) for line in shown) == 2
    assert shown.count(dual.CLEAR) >= 2
    assert len(protocol.read(home)) == 1


def test_old_and_new_cards_work_after_a_roll_over(home: Path) -> None:
    """Terminals, load SAM and clearing serve both versions; new cards get the new one from its day on."""
    from tests.keys.test_roll_over import serve_both

    _, shares = hold(home)
    start = "2031-01-01"
    assert code_of("rollover", "--from", start, *named("Li Na"), "--stdin") == "CUSTODIAN_TWO"
    assert (
        code_of("rollover", "--from", start, *named("Li Na", "Zhao"), "--stdin", typed=("no", "no"))
        == "CUSTODIAN_PASSPHRASE"
    )
    made = good(
        "rollover", "--from", start, *named("Li Na", "Zhao"), "--stdin",
        "--share-file", shares[0], "--share-file", shares[2], typed=phrases("Li Na", "Zhao") * 2,
    )  # fmt: skip
    assert made["facts"]["version"] == 2  # type: ignore[index]
    vault = SoftVault.open(home / "vault.ccv", "vault passphrase")
    serve_both(vault)
    # The same components give version 2 again elsewhere; version 1 can be destroyed, by two.
    wanted = {info.check_value for info in vault.keys() if info.version == 2}  # noqa: SIM118
    restored = good(
        "ceremony", "restore", *named("Li Na", "Zhao"), "--version", 2, "--stdin", "--home", home.parent / "x",
        "--share-file", shares[0], "--share-file", shares[2], typed=phrases("Li Na", "Zhao"),
    )  # fmt: skip
    assert {row["check_value"] for row in restored["keys"]} == wanted  # type: ignore[attr-defined]
    destroy = ("destroy", "tac", "--version", 1, *named("王芳", "Zhao"), "--stdin")
    assert code_of(*destroy, typed=("wrong one", "wrong")) == "CUSTODIAN_PASSPHRASE"
    assert good(*destroy, typed=phrases("王芳", "Zhao"))["facts"]["forced"] is False  # type: ignore[index]
    assert code_of(*destroy, typed=phrases("王芳", "Zhao")) == "KEY_MISSING"
    assert (
        code_of(
            "destroy", "tac", "--version", 2, *named("王芳", "Zhao"), "--stdin", typed=phrases("王芳", "Zhao")
        )
        == "KEY_DESTROYED"
    )
    assert [one.kind for one in protocol.read(home)] == ["make", "rollover", "destroy"]


def test_protocols_are_chained_and_printed(home: Path) -> None:
    hold(home, "--pdf", home.parent / "protocol.pdf")
    paper = (home.parent / "protocol.pdf").read_bytes()
    assert paper.startswith(b"%PDF")
    assert b"STSong-Light" in paper
    assert marked("Li Na & 王芳") == 'Li Na &amp; <font name="STSong-Light">王芳</font>'
    good("import", "transport", "--version", 1, "--stdin", typed=("00112233445566778899AABBCCDDEEFF",))
    assert code_of("import", "load", "--version", 9, "--stdin", typed=("xyz",)) == "KEY_TYPED"
    shown = keys("ceremony", "show", 1)
    assert "密钥仪式" in shown.stdout and "Li Na" in shown.stdout
    assert good("ceremony", "show")["kind"] == "import"
    assert code_of("ceremony", "show", 9) == "PROTOCOL_MISSING"
    log = home / protocol.FILE
    whole = log.read_bytes()
    for altered in (
        whole.replace(b"Li Na", b"Li Ma"),
        whole.split(b"\n", 1)[1],
        whole.replace(b'"number": 1', b'"number": 3'),
        b"{\n",
    ):
        log.write_bytes(altered)
        assert code_of("ceremony", "show") == "PROTOCOL_CHAIN"


def test_custodians_join_with_the_consent_of_two(home: Path) -> None:
    assert code_of("ceremony", "enrol", *named("Li Na"), "--stdin", typed=phrases("Li Na")) == "CUSTODIAN_TWO"
    enrolled = keys("ceremony", "enrol", *named("Li Na", "Zhao"), "--stdin", typed=phrases("Li Na", "Zhao"))
    assert enrolled.exit_code == 0, enrolled.exception
    join = ("ceremony", "enrol", *named("王芳"), "--stdin")
    assert code_of(*join, typed=phrases("王芳")) == "CUSTODIAN_TWO"
    two = ("--confirmed-by", "Li Na", "--confirmed-by", "Zhao")
    assert code_of(*join, *two, typed=("wrong", "wrong")) == "CUSTODIAN_PASSPHRASE"
    assert keys(*join, *two, typed=phrases("Li Na", "Zhao", "王芳")).exit_code == 0
    assert custodians.Custodians(home).names() == ["Li Na", "Zhao", "王芳"]
    (home / custodians.FILE).write_text("{}")
    assert code_of(*join, *two, typed=phrases("Li Na", "Zhao", "王芳")) == "CUSTODIAN_FILE"
    assert Psam(SoftVault.create(home / "p", "x", cost=envelope.CHEAP), TERMINAL, MemoryCounter())
