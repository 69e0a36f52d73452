# SPDX-License-Identifier: Apache-2.0
"""Batches come in once, durable before the answer, whatever dies and however often they are sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from citycard.core.record import HEADER_SIZE, RECORD_SIZE
from citycard.office.intake import batches, lake
from citycard.office.intake.models import Alarm, RawBatch
from citycard.office.participants.models import Terminal
from tests.office_ledger.conftest import BUS, DAY, GATE, METRO, TILL, City, tap


class Killed(BaseException):
    """The process dies here."""


def files(home: Path) -> list[Path]:
    return sorted(path for path in (home / "lake").rglob("*") if path.is_file())


def records(*sequences: int) -> list[bytes]:
    return [tap(n).encode() for n in sequences]


def test_a_batch_is_stored_known_or_in_conflict(city: City) -> None:
    client, raw = city.client(), city.batch(1, records(1, 2))
    first = client.post("/batches", content=raw)
    again = client.post("/batches", content=raw)
    other = client.post("/batches", content=city.batch(1, records(1, 3)))

    assert (first.status_code, first.json()["status"], first.json()["count"]) == (201, "stored", 2)
    assert (again.status_code, again.json()) == (200, first.json() | {"status": "known"})
    assert (other.status_code, other.json()["code"]) == (409, "BATCH_CONFLICT")
    (path,) = files(city.home)
    assert path == city.home / "lake/raw" / DAY.isoformat() / f"{first.json()['digest']}.ccb"
    assert path.read_bytes() == raw
    assert RawBatch.objects.get().total_fen == 400
    alarm = Alarm.objects.get()
    assert (alarm.code, alarm.subject, alarm.detail["batch"]) == ("BATCH_CONFLICT", TILL, 1)
    client.post("/batches", content=city.batch(1, records(1, 3)))
    assert Alarm.objects.get().seen == 2


def alter(at: int) -> Callable[[bytes], bytes]:
    return lambda raw: raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda raw: raw[:50], 422, "BATCH_TRUNCATED"),
        (lambda raw: raw[:-1], 422, "BATCH_TRUNCATED"),
        (lambda raw: b"", 422, "BATCH_TRUNCATED"),
        (lambda raw: b"{}" * 100, 422, "BATCH_FORMAT"),
        (alter(4), 422, "BATCH_VERSION"),
        (alter(HEADER_SIZE + 60), 422, "BATCH_DIGEST"),
        (alter(HEADER_SIZE + RECORD_SIZE - 1), 422, "BATCH_DIGEST"),
        (alter(25), 422, "BATCH_MAC"),
        (alter(HEADER_SIZE - 1), 422, "BATCH_MAC"),
        (alter(9), 403, "BATCH_TERMINAL"),
        (alter(17), 403, "BATCH_ACQUIRER"),
        (lambda raw: raw + bytes(600_000), 413, "TOO_LARGE"),
    ],
)
def test_what_is_no_batch_of_this_terminal_is_refused(
    city: City, change: Callable[[bytes], bytes], status: int, code: str
) -> None:
    raw = city.batch(1, records(1, 2))
    answer = city.client().post("/batches", content=change(raw))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "message" in answer.json()
    assert not RawBatch.objects.exists()
    assert not (city.home / "lake").exists()
    assert city.client().post("/batches", content=raw).status_code == 201


def test_another_terminals_token_or_none(city: City) -> None:
    raw = city.batch(1, records(1))
    assert city.client(GATE).post("/batches", content=raw).json()["code"] == "BATCH_TERMINAL"
    stranger = city.client()
    stranger.headers["Authorization"] = "Bearer cct_wrong"
    assert (stranger.post("/batches", content=raw).status_code, stranger.get("/hotlist").json()["code"]) == (
        401,
        "TOKEN",
    )
    Terminal.objects.filter(pk=TILL).update(acquirer_id=METRO)
    assert city.client().post("/batches", content=raw).json()["code"] == "BATCH_ACQUIRER"


PLACES = {
    "while the file is written": ("os.fsync", None),
    "before the file has its name": ("pathlib.Path.replace", None),
    "before the folder is synced": ("citycard.office.intake.lake._sync", None),
    "before the row": ("citycard.office.intake.models.RawBatch.objects.create", None),
    "before the commit": ("citycard.office.intake.batches._note_health", None),
}


@pytest.mark.parametrize("place", PLACES)
def test_killed_anywhere_the_repeated_upload_heals(
    city: City, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    raw = city.batch(1, records(1, 2))
    terminal = Terminal.objects.get(pk=TILL)
    with monkeypatch.context() as patch:
        patch.setattr(PLACES[place][0], _die)
        with pytest.raises(Killed):
            batches.receive(raw, terminal)
    assert not RawBatch.objects.exists()
    city.still.forward(days=1)

    assert batches.receive(raw, terminal).status == batches.STORED
    assert batches.receive(raw, terminal).status == batches.KNOWN
    whole = [path for path in files(city.home) if path.suffix == ".ccb"]
    assert [path.read_bytes() for path in whole] == [raw]
    assert (city.home / RawBatch.objects.get().path) == whole[0]


def _die(*_: object, **__: object) -> None:
    raise Killed


def test_a_killed_answer_is_given_again(city: City) -> None:
    raw = city.batch(1, records(1))
    terminal = Terminal.objects.get(pk=TILL)
    batches.receive(raw, terminal)  # the answer never left the office
    assert city.client().post("/batches", content=raw).json()["status"] == "known"


def test_what_an_upload_tells_of_its_terminal(city: City) -> None:
    third = city.batch(3, records(5))
    city.still.forward(seconds=40)
    city.client().post("/batches?pending=12", content=third)
    terminal = Terminal.objects.get(pk=TILL)
    seen = (terminal.last_batch, terminal.clock_skew_s, terminal.pending_records, terminal.hotlist_version)
    assert seen == (3, -40, 12, 3)
    assert terminal.last_seen_at == city.still.at
    assert batches.missing(TILL) == [1, 2]

    city.client().post("/batches", content=city.batch(1, records(1)))
    terminal.refresh_from_db()
    assert (terminal.last_batch, terminal.clock_skew_s) == (3, -40), (
        "an old batch does not turn the clock back"
    )
    assert batches.missing(TILL) == [2]


def test_a_folder_is_found_again(city: City) -> None:
    assert lake.find(city.home, "0" * 64) is None
    path = lake.store(city.home, DAY, "0" * 64, b"x")
    assert lake.find(city.home, "0" * 64) == path
    assert BUS not in str(path)
