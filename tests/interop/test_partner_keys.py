# SPDX-License-Identifier: Apache-2.0
"""Keys of the exchange: two algorithms side by side, an envelope that lies, and one key after another."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from typer.testing import CliRunner

from citycard.core.interop import files, signing
from citycard.core.interop.signing import ED25519, SM2, PublicKey
from citycard.core.problem import Problem
from citycard.keys import MemoryVault
from citycard.keys.partner import PartnerKey
from tests.interop.conftest import DAY, EAST, HUB, PARTICIPANTS, WEST, Place
from tests.interop.test_partners_office import alarms, came, listed
from tests.support.parts import REPOSITORY, need, program

NAME, RAW = "FB_99990000001_99010000001_20260302_000007.txt", b"01\n"
KEYS = {
    name: PartnerKey.from_seed(b"\x05" * 32, name, Random(5).randbytes) for name in (ED25519, SM2)
}  # tests only
LATER = DAY + timedelta(days=10)


def public(key: PartnerKey, first: date = date.min, last: date | None = None) -> PublicKey:
    return PublicKey(key.algorithm, key.public, first, last)


def refused(envelope: bytes, *keys: PublicKey, on: date = DAY, raw: bytes = RAW) -> tuple[str, str]:
    """The code and the sentence with which an envelope is refused."""
    with pytest.raises(Problem) as caught:
        signing.check(NAME, raw, envelope, keys, on)
    assert caught.value.text("zh") != caught.value.text("en")
    return caught.value.code, caught.value.text()


@pytest.mark.parametrize("algorithm", [ED25519, SM2])
def test_an_envelope_names_its_algorithm_and_its_key(algorithm: str) -> None:
    key, other = KEYS[algorithm], PartnerKey.from_seed(b"\x06" * 32, algorithm)
    made = key.seal(NAME, RAW)
    body = json.loads(made)
    assert (body["algorithm"], body["key"]) == (algorithm, key.id)
    both = [public(other), public(key)]
    assert signing.check(NAME, RAW, made, both, DAY).id == key.id
    assert refused(made, *both, raw=RAW + b"\n")[1].count("other content") == 1
    assert "none of the sender's" in refused(made, public(other))[1]
    spoilt = json.dumps(body | {"signature": other.seal(NAME, RAW).decode()[-64:-4]}).encode()
    assert "not made with" in refused(spoilt, *both)[1]


def test_no_envelope_talks_its_way_to_another_algorithm() -> None:
    """Each key is for one algorithm, whatever an envelope says of it."""
    keys = [public(key) for key in KEYS.values()]
    made = json.loads(KEYS[SM2].seal(NAME, RAW))
    for found in (ED25519, "none", "sm2", "RSA"):
        code, said = refused(json.dumps(made | {"algorithm": found}).encode(), *keys)
        assert (code, repr(found) in said) == ("FILE_ALGORITHM", True), said
    # an Ed25519 signature in the name of the SM2 key, and the other way round
    for one, two in ((ED25519, SM2), (SM2, ED25519)):
        crossed = json.loads(KEYS[one].seal(NAME, RAW)) | {"key": KEYS[two].id}
        assert refused(json.dumps(crossed).encode(), *keys)[0] == "FILE_ALGORITHM"
    assert refused(b"{}", *keys)[0] == "FILE_SIGNATURE"
    assert refused(json.dumps(made | {"key": 5}).encode(), *keys)[0] == "FILE_SIGNATURE"


def test_a_key_counts_on_its_days_only() -> None:
    old, new = KEYS[ED25519], KEYS[SM2]
    keys = [public(old, last=LATER), public(new, first=DAY)]
    day = timedelta(days=1)
    for key, on in ((old, DAY - day), (old, DAY), (new, DAY), (old, LATER), (new, LATER + day)):
        assert signing.check(NAME, RAW, key.seal(NAME, RAW), keys, on).id == key.id
    for key, on in ((new, DAY - day), (old, LATER + day)):
        code, said = refused(key.seal(NAME, RAW), *keys, on=on)
        assert (code, key.id in said, str(on) in said) == ("FILE_KEY_DATE", True, True)


@pytest.mark.parametrize(
    ("text", "algorithm", "code"),
    [("zz", "", "PUBLIC_KEY"), ("ab" * 33, "", "PUBLIC_KEY"), ("ab" * 32, SM2, "PUBLIC_KEY"),
     ("ab" * 32, "RSA", "PUBLIC_KEY"), ("04" + "ab" * 64, "", "SM2_POINT")],
)  # fmt: skip
def test_what_is_no_public_key_is_refused(text: str, algorithm: str, code: str) -> None:
    with pytest.raises(Problem) as caught:
        PublicKey.parse(text, algorithm)
    assert caught.value.code == code


def test_a_private_key_never_shows_and_only_its_vault_opens_it() -> None:
    vault, other = (MemoryVault(clock=datetime.now, random=Random(seed).randbytes) for seed in (1, 2))
    for key in KEYS.values():
        kept = key.protect(vault)
        assert key._secret not in kept
        assert key.id in repr(key)
        with pytest.raises(TypeError):
            pickle.dumps(key)
        again = PartnerKey.unprotect(vault, kept, public(key))
        signing.check(NAME, RAW, again.seal(NAME, RAW), [public(key)], DAY)
        with pytest.raises(Problem) as caught:
            PartnerKey.unprotect(other, kept, public(key))
        assert caught.value.code == "VAULT_FOREIGN"
    with pytest.raises(Problem) as caught:
        PartnerKey.generate("RSA")
    assert caught.value.code == "PARTNER_ALGORITHM"


def at(day: date) -> None:
    """It is noon of a day at the office."""
    from citycard.office import clock

    clock.use(lambda: datetime.combine(day, time(12)))


def test_members_of_both_kinds_and_a_key_that_gives_way_to_the_next(west: Place) -> None:
    """The hub changes from Ed25519 to SM2; files signed with the old key count until its last day."""
    from citycard.office.intake.models import Alarm
    from citycard.office.partners import keyring
    from citycard.office.partners.models import MemberKey

    hub, old, new = west[HUB], west[HUB].key, KEYS[SM2]
    first = hub.file("DC", [])
    hub.key = new
    early = hub.file("DC", [])
    assert came(early) == "FILE_SIGNATURE"  # nobody told us of this key
    keyring.add_key(HUB, new.public.hex(), first=LATER)
    assert came(early) == "FILE_KEY_DATE"
    assert came(first) == "taken"
    at(LATER)
    assert came(early) == "taken"
    hub.key = old
    assert came(hub.file("DC", [])) == "taken"  # both count
    keyring.end_key(HUB, old.id, LATER)
    at(LATER + timedelta(days=1))
    late = hub.file("DC", [listed()])
    assert came(late) == "FILE_KEY_DATE"
    again = (late[0], late[1], new.seal(late[0], late[1]))
    assert came(again) == "taken"
    assert "FILE_KEY_DATE" not in alarms()
    said = Alarm.objects.filter(code="EXCHANGE_SIGNATURE")
    assert said.count() >= 1
    assert MemberKey.objects.filter(member_id=HUB).count() == 2  # none is forgotten
    with pytest.raises(Problem) as caught:
        keyring.end_key(HUB, "0" * 16, DAY)
    assert caught.value.code == "MEMBER_KEY_UNKNOWN"
    with pytest.raises(Problem) as caught:
        keyring.add_key(HUB, new.public.hex(), first=LATER, last=DAY)
    assert caught.value.code == "MEMBER_KEY_DATES"


def test_a_stolen_key_is_replaced_at_once(west: Place) -> None:
    from citycard.office.partners import desk

    stolen = west[HUB].file("DC", [])
    desk.add_member(HUB, participant=PARTICIPANTS[HUB], public_key=KEYS[SM2].public.hex())
    assert came(stolen) == "FILE_KEY_DATE"
    west[HUB].key = KEYS[SM2]
    assert came(west[HUB].file("DC", [], number=1)) == "taken"


def test_our_next_key_signs_from_its_day_on_and_seals_anew_what_has_not_left(west: Place) -> None:
    from citycard.office.partners import carriers, desk, keyring, outbox

    hub = desk.member(HUB)
    outbox.send("CD", hub, [], DAY)
    made = keyring.make_key(SM2, LATER)
    assert keyring.signing_key().algorithm == ED25519
    at(LATER)
    assert keyring.signing_key().id == made.id
    outbox.send("CD", hub, [], LATER)
    sent = carriers.deliver(hub)
    inbox = west.home / "box" / HUB / "inbox"
    assert len(sent) == 2
    for name in sent:
        raw, envelope = (inbox / name).read_bytes(), (inbox / f"{name}.sig").read_bytes()
        assert signing.check(name, raw, envelope, [public(made)], LATER).algorithm == SM2
        assert files.read(files.FileName.parse(name), raw) == []


def test_an_operator_looks_after_keys(home: Path, vault: MemoryVault, db: None, still: None) -> None:
    from citycard.cli import app

    def run(*words: str) -> Any:
        done = CliRunner().invoke(app, ["partners", *words, "--home", str(home)])
        if done.exception is not None:
            raise done.exception
        return done.stdout

    told = json.loads(run("init", WEST, "--hub", HUB, "--algorithm", "SM2", "--json"))
    assert (told["algorithm"], len(told["public_key"])) == (SM2, 130)
    assert json.loads(run("init", WEST, "--hub", HUB, "--json")) == told  # the key stays
    run("member", EAST, "--participant", PARTICIPANTS[EAST], "--name", "East", "--public-key", "ab" * 32)
    run("member", EAST, "--participant", PARTICIPANTS[EAST], "--name", "East")  # says nothing of the key
    east = KEYS[SM2].public.hex()
    assert f"{EAST} SM2 {KEYS[SM2].id}" in run("key", "add", EAST, east, "--from", "2026-04-01")
    run("key", "end", EAST, signing.fingerprint(b"\xab" * 32), "--until", "2026-04-30")
    run("key", "new", "--from", "2026-05-01")
    listed_ = json.loads(run("key", "list", "--json"))
    assert listed_["signs"] == told["fingerprint"]
    rows = {(one["org"], one["algorithm"], one["from"], one["until"]) for one in listed_["keys"]}
    assert rows == {
        ("ours", SM2, "2026-05-01", ""), ("ours", SM2, "2000-01-01", ""), (EAST, SM2, "2026-04-01", ""),
        (EAST, ED25519, "2000-01-01", "2026-04-30"),
    }  # fmt: skip
    assert run("key", "list").splitlines()[0].startswith("ours        SM2     ")
    with pytest.raises(Problem, match="RSA"):
        run("key", "new", "--from", "2026-05-01", "--algorithm", "RSA")


RECIPE = """
printf 'citycard exchange file v1\\n%s\\n%s\\n' "$NAME" "$(openssl dgst -sm3 -r "$NAME" | cut -d' ' -f1)" > signed
openssl pkeyutl -sign -rawin -digest sm3 -pkeyopt distid:1234567812345678 -inkey key.pem -in signed | xxd -p
"""


def test_a_stranger_makes_an_envelope_by_the_documents_recipe(tmp_path: Path) -> None:
    """The lines of docs/integrators.md, with a key that `openssl` makes for this test."""
    document = (REPOSITORY / "docs" / "integrators.md").read_text(encoding="utf-8")
    for line in RECIPE.strip().splitlines():
        assert line in document
    for name in ("openssl", "xxd", "sh"):
        need(program(name), name, "the packages openssl and xxd")
    (tmp_path / NAME).write_bytes(RAW)
    make = "openssl genpkey -algorithm SM2 -out key.pem && openssl pkey -in key.pem -pubout -outform DER"
    made = subprocess.run(["sh", "-c", make], cwd=tmp_path, capture_output=True, timeout=30, check=False)
    need(made.stdout or None, "SM2 in openssl", "an OpenSSL 3 that was built with it")
    key = PublicKey(SM2, made.stdout[-65:])
    ran = subprocess.run(
        ["sh", "-c", RECIPE],
        cwd=tmp_path,
        env=os.environ | {"NAME": NAME},
        capture_output=True,
        timeout=30,
        check=True,
    )
    signature = bytes.fromhex(ran.stdout.decode())
    envelope = signing.envelope(NAME, signing.ALGORITHMS[SM2].digest(RAW), key.raw, signature, SM2)
    assert signing.check(NAME, RAW, envelope, [key], DAY) == key


@pytest.mark.django_db(transaction=True)
def test_a_member_from_before_keeps_its_key() -> None:
    """A database in which each member had one key, whatever the day."""
    from citycard.office.partners import keyring

    executor = MigrationExecutor(connection)
    now = executor.loader.graph.leaf_nodes()
    before = [("partners", "0001_initial")]
    try:
        executor.migrate(before)
        members = (
            MigrationExecutor(connection).loader.project_state(before).apps.get_model("partners", "Member")
        )
        for org, key in ((EAST, "AB" * 32), (WEST, "")):
            members.objects.create(
                org=org, participant=PARTICIPANTS[org], name_en=org, name_zh=org, public_key=key
            )
    finally:
        MigrationExecutor(connection).migrate(now)
    (key,) = keyring.keys_of(EAST)
    assert (key.algorithm, key.raw, key.counts(DAY)) == (ED25519, b"\xab" * 32, True)
    assert keyring.keys_of(WEST) == []
