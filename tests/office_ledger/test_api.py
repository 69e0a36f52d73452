# SPDX-License-Identifier: Apache-2.0
"""Parameters, hotlist, languages, documentation: the rest of what a terminal sees of the office."""

from __future__ import annotations

from datetime import date

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from citycard.office.cards import hotlist
from citycard.office.participants.models import Participant, Tariff
from tests.office_ledger.conftest import ANN, BOB, GATE, ISSUER, TILL, City, tap


def test_parameters_have_a_version_that_follows_the_tables(city: City) -> None:
    client, path = city.client(), f"/terminals/{TILL}/parameters"
    Tariff.objects.create(service=1, version=1, valid_from=date(2026, 1, 1), config={"flat_fen": 200})
    Tariff.objects.create(service=1, version=2, valid_from=date(2026, 3, 3), config={"flat_fen": 300})
    first = client.get(path).json()
    assert (first["version"], first["tariffs"], first["issuers"]) == (1, {"1": {"flat_fen": 200}}, [ISSUER])
    assert first["business"]["cut_off"] == "02:00"
    assert client.get(path, params={"have": 1}).status_code == 304

    city.still.forward(days=1)  # the next tariff takes effect by itself
    second = client.get(path, params={"have": 1}).json()
    assert (second["version"], second["tariff_versions"]) == (2, {"1": 2})
    Participant.objects.filter(pk=ISSUER).update(active=False)
    assert client.get(path, params={"have": 2}).json()["issuers"] == []
    assert client.get(f"/terminals/{GATE}/parameters").json()["code"] == "OTHER_TERMINAL"


def test_the_hotlist_comes_whole_or_as_a_difference(city: City) -> None:
    client = city.client()
    assert client.get("/hotlist").status_code == 304
    first = hotlist.put_on([ANN, BOB], "lost")
    assert client.get("/hotlist").json() == {"version": first, "since": 0, "add": [ANN, BOB], "remove": []}
    second = hotlist.take_off([BOB])
    told = client.get("/hotlist", params={"have": first}).json()
    assert told == {"version": second, "since": first, "add": [], "remove": [BOB]}
    assert client.get("/hotlist", params={"have": second}).status_code == 304
    assert client.get("/hotlist", params={"have": 99}).json()["since"] == 0


def test_errors_speak_the_readers_language(city: City) -> None:
    english = city.client().post("/batches", content=b"x").json()
    chinese = city.client(language="zh-CN,zh;q=0.9").post("/batches", content=b"x").json()
    assert english["code"] == chinese["code"] == "BATCH_TRUNCATED"
    assert english["message"].startswith("The batch is cut short")
    assert chinese["message"].startswith("批次不完整")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("PUT", "/batches", 405), ("GET", "/hotlist?have=x", 422)],
)
def test_wrong_addresses_are_refused_quietly(city: City, method: str, path: str, status: int) -> None:
    assert city.client().request(method, path).status_code == status


def test_a_fault_of_ours_is_500_without_detail(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("citycard.office.intake.parameters.current", fail)
    answer = city.client().get(f"/terminals/{TILL}/parameters")
    assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
    assert "secret" not in answer.text


def test_a_locked_vault_is_ours_to_mend(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    from citycard.office import custody

    custody.use(None)
    monkeypatch.delenv("CITYCARD_PASSPHRASE", raising=False)
    answer = city.client().post("/batches", content=city.batch(1, [tap(1).encode()]))
    assert (answer.status_code, answer.json()["code"]) == (503, "VAULT_LOCKED")


def test_health_and_documentation(city: City) -> None:
    client = city.client()
    del client.headers["Authorization"]
    assert client.get("/health").json()["status"] == "ok"
    described = client.get("/openapi.json").json()
    assert "/api/v1/loads/{load_id}/confirm" in described["paths"]
    assert (
        "application/octet-stream" in described["paths"]["/api/v1/batches"]["post"]["requestBody"]["content"]
    )
    assert client.get("/docs").status_code == 200


def test_an_upload_asks_the_database_no_more_for_a_hundred_records_than_for_one(city: City) -> None:
    client = city.client()
    asked = []
    for number, size in ((1, 1), (2, 1), (3, 100)):
        body = city.batch(number, [tap(1000 * number + i).encode() for i in range(size)])
        with CaptureQueriesContext(connection) as queries:
            assert client.post("/batches", content=body).status_code == 201
        asked.append(len(queries))
    assert asked[2] == asked[1]
