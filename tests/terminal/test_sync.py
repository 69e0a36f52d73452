# SPDX-License-Identifier: Apache-2.0
"""Batches reach an office over a bad network once and whole; parameters and hotlists come back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import httpx
import pytest

from citycard.core.problem import Problem
from citycard.core.record import HEADER_SIZE, TapRecord, open_batch
from citycard.core.refusal import Refusal
from citycard.keys import check_batch
from citycard.services.contract import Event
from citycard.terminal import (
    EmulatedLink,
    Hotlist,
    HotlistDelta,
    Journal,
    MemoryStore,
    OfficeLoads,
    Parameters,
    Shelf,
    Sync,
    Terminal,
    read_parameters,
)
from tests.terminal.world import (
    BUS_TARIFF,
    ISSUER,
    METRO_TARIFF,
    NOON,
    PAN,
    RETAIL,
    RETAIL_TARIFF,
    SHOP,
    Clock,
    Host,
    new_card,
    terminal,
    vault,
)

TOKEN = "t0ken"


class Office:
    """The office's API in a few lines; `lose` and `fail` misbehave for the next calls."""

    def __init__(self) -> None:
        self.stored: dict[int, bytes] = {}
        self.records: list[TapRecord] = []
        self.lose = 0  # answers to lose
        self.fail = 0  # 503s to give
        self.refuse: dict[int, str] = {}  # batch: code
        self.calls: list[str] = []
        self.version = 4
        self.deltas: dict[int, dict[str, Any]] = {}
        self.loads = Host()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        path = request.url.path.removeprefix("/api/v1")
        self.calls.append(f"{request.method} {path}")
        if self.fail:
            self.fail -= 1
            return httpx.Response(503, text="upgrading")
        answer = self._answer(request, path)
        if self.lose:
            self.lose -= 1
            raise httpx.ReadTimeout("lost", request=request)
        return answer

    def _answer(self, request: httpx.Request, path: str) -> httpx.Response:
        have = int(request.url.params.get("have", 0))
        if path == "/batches":
            return self._batch(request.content)
        if path == f"/terminals/{SHOP.hex()}/parameters":
            return (
                httpx.Response(304) if have == self.version else httpx.Response(200, json=self.parameters())
            )
        if path == "/hotlist":
            found = self.deltas.get(have)
            return httpx.Response(304) if found is None else httpx.Response(200, json=found)
        raise AssertionError(path)

    def _batch(self, raw: bytes) -> httpx.Response:
        batch = open_batch(raw)
        number = batch.header["batch"]
        if number in self.refuse:
            code = self.refuse[number]
            return httpx.Response(
                409 if code == "BATCH_CONFLICT" else 422, json={"code": code, "message": "no"}
            )
        assert check_batch(vault(), raw[:HEADER_SIZE])
        known = self.stored.get(number)
        assert known in (None, raw)
        if known is None:
            self.stored[number] = raw
            self.records += batch.records()
        body = {"status": "known" if known else "stored", "digest": batch.digest}
        return httpx.Response(200 if known else 201, json=body)

    def parameters(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "hotlist_version": 0,
            "business": {"cut_off": "02:00", "late_days": 7},
            "tariffs": {"1": BUS_TARIFF, "2": METRO_TARIFF, "3": RETAIL_TARIFF, "77": {"unknown": True}},
            "tariff_versions": {"1": 2, "3": 6},
            "issuers": [ISSUER.hex()],
        }


def sync(office: Callable[[httpx.Request], httpx.Response], shelf: Shelf | None = None) -> Sync:
    client = httpx.Client(transport=httpx.MockTransport(office), base_url="http://office.test")
    return Sync(client, TOKEN, shelf, sleep=lambda _: None, random=Random(1))


def shop_with(purchases: int, clock: Clock | None = None) -> Terminal:
    clock = clock or Clock()
    shop = terminal(SHOP, RETAIL, clock)
    card = new_card(balance_fen=9000)
    more(shop, card, clock, purchases)
    return shop


def more(shop: Terminal, card: Any, clock: Clock, purchases: int) -> None:
    for amount in range(1, purchases + 1):
        clock.forward(30)
        assert shop.tap(EmulatedLink(card), Event.PAY, amount).outcome == "accepted"


def test_records_arrive_once_and_in_order_whatever_the_network_does() -> None:
    office, clock = Office(), Clock()
    shop = terminal(SHOP, RETAIL, clock)
    card = new_card(balance_fen=9000)
    more(shop, card, clock, 3)
    office.lose = 99
    report = sync(office).run(shop)
    assert not report.reached
    assert report.pending == 3
    assert len(office.calls) == 4  # tried again and again, and stopped
    more(shop, card, clock, 2)
    office.lose, office.fail = 1, 1
    report = sync(office).run(shop)
    assert report.ok
    assert (report.batches, report.records, report.known) == (2, 5, 1)
    assert [record.sequence for record in office.records] == [1, 2, 3, 4, 5]
    assert [record.amount_fen for record in office.records] == [1, 2, 3, 1, 2]
    assert sorted(office.stored) == [1, 2]
    assert shop.journal.pending_records == 0
    assert sync(office).run(shop).batches == 0


def test_a_batch_the_office_refuses_is_laid_aside_and_does_not_hold_up_the_next() -> None:
    office, clock, store = Office(), Clock(), MemoryStore()
    shop = terminal(SHOP, RETAIL, clock, store)
    card = new_card(balance_fen=9000)
    more(shop, card, clock, 2)
    office.fail = 99
    sync(office).run(shop)
    more(shop, card, clock, 1)
    office.fail, office.refuse = 0, {1: "BATCH_CONFLICT"}
    report = sync(office).run(shop)
    assert [problem.code for problem in report.problems] == ["BATCH_QUARANTINED"]
    assert "BATCH_CONFLICT" in report.problems[0].text("zh")
    assert sorted(office.stored) == [2]
    kept = store.read("quarantine-0000000001.ccb")
    assert kept is not None
    assert len(open_batch(kept).records()) == 2
    assert shop.journal.pending_records == 0
    assert not report.ok


def test_answers_that_are_no_receipts_acknowledge_nothing() -> None:
    def portal(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="<html>please log in</html>")

    def other(request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, json={"status": "stored", "digest": "00"})

    def stranger(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"code": "TOKEN", "message": "who are you?"})

    def broken(request: httpx.Request) -> httpx.Response:
        return httpx.Response(422, json={"code": "REQUEST", "message": "malformed"})

    shop = shop_with(1)
    for office, code in ((portal, "OFFICE_ANSWER"), (other, "OFFICE_ANSWER"), (stranger, "OFFICE_TOKEN"),
                         (broken, "OFFICE_ANSWER")):  # fmt: skip
        report = sync(office).run(shop)
        assert report.problems[0].code == code
        assert report.pending == 1
        assert shop.parameters.version == 3


def test_parameters_and_hotlist_come_down_and_survive_a_restart() -> None:
    office, store = Office(), MemoryStore()
    shop, shelf = shop_with(0), Shelf(store)
    shop.parameters = Parameters()
    office.deltas = {
        0: {"version": 2, "since": 0, "add": [PAN], "remove": []},
        2: {"version": 3, "since": 2, "add": ["03199000000000000026"], "remove": [PAN]},
    }
    report = sync(office, shelf).run(shop)
    assert report.ok
    assert (report.parameters_version, report.hotlist_version) == (4, 2)
    assert shop.tap(EmulatedLink(new_card(balance_fen=100)), Event.PAY, 10).refusal is Refusal.HOTLISTED
    assert shop.parameters.tariff_version(RETAIL) == 6
    assert shop.parameters.issuers == {ISSUER}
    assert set(shop.parameters.tariffs) == {1, 2, 3}
    assert sync(office, shelf).run(shop).hotlist_version == 3
    kept = shelf.load()
    assert kept == shop.parameters
    assert kept.hotlist.pans == {"03199000000000000026"}
    assert kept.confirmed_at == shop.clock()
    shop.clock.now += timedelta(hours=30)  # type: ignore[attr-defined]
    sync(office, shelf).run(shop)
    assert shelf.load().confirmed_at == shop.clock()


def test_a_difference_with_a_gap_is_answered_by_asking_for_the_whole_list() -> None:
    office = Office()
    shop = shop_with(0)  # holds hotlist 5
    office.deltas = {
        5: {"version": 9, "since": 7, "add": [], "remove": []},
        0: {"version": 9, "since": 0, "add": [PAN], "remove": []},
    }
    report = sync(office).run(shop)
    assert report.hotlist_version == 9
    assert PAN in shop.parameters.hotlist


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"issuers": ["xyz"]}, "PARAMETERS_INVALID"),
        ({"version": -1}, "PARAMETERS_INVALID"),
        ({"tariffs": {"1": {"fares": []}}}, "TARIFF_INVALID"),
        ({"tariffs": []}, "PARAMETERS_INVALID"),
    ],
)
def test_invalid_parameters_are_told_and_those_in_force_stay(change: dict[str, Any], code: str) -> None:
    office = Office()
    good = office.parameters()
    office.parameters = lambda: good | change  # type: ignore[method-assign]
    shop = shop_with(1)
    store = MemoryStore()
    report = sync(office, Shelf(store)).run(shop)
    assert [problem.code for problem in report.problems] == [code]
    assert report.records == 1  # records do not wait for parameters
    assert shop.parameters.version == 3
    assert store.read("parameters.json") is None
    with pytest.raises(Problem):
        read_parameters(good | change, Hotlist(), NOON)


def test_a_damaged_file_is_told() -> None:
    store = MemoryStore()
    Shelf(store).keep_hotlist(Hotlist(3, frozenset({PAN})))
    assert Shelf(store).load().hotlist.version == 3
    raw = store.read("hotlist.json")
    assert raw is not None
    store.replace("hotlist.json", raw.replace(b"0319", b"0318"))
    with pytest.raises(Problem) as told:
        Shelf(store).load()
    assert told.value.code == "PARAMETERS_DAMAGED"


def test_a_hotlist_difference_held_already_is_no_news() -> None:
    held = Hotlist(5, frozenset({PAN}))
    assert held.apply(HotlistDelta(version=5, since=4, remove=(PAN,))) is held
    assert held.apply(HotlistDelta(version=6, since=5, remove=(PAN,))) == Hotlist(6)
    assert held.apply(HotlistDelta(version=2, since=0)) == Hotlist(2)


def test_killed_between_the_office_s_receipt_and_the_mark() -> None:
    class Killed(BaseException):
        pass

    office, store, clock = Office(), MemoryStore(), Clock()
    shop = terminal(SHOP, RETAIL, clock, store)
    more(shop, new_card(balance_fen=9000), clock, 3)

    def dying(request: httpx.Request) -> httpx.Response:
        office(request)
        raise Killed

    with pytest.raises(Killed):
        sync(dying).run(shop)
    again = terminal(SHOP, RETAIL, clock, store)
    report = sync(office).run(again)
    assert (report.batches, report.known) == (1, 1)
    assert len(office.records) == 3
    assert Journal.open(store, SHOP).pending_records == 0


def test_loads_over_http() -> None:
    host, seen = Host(), []

    def office(request: httpx.Request) -> httpx.Response:
        from citycard.terminal import LoadRequest

        body, path = json.loads(request.content), request.url.path
        seen.append(path)
        if path == "/api/v1/loads":
            offer = host.begin(
                LoadRequest(
                    body["request_id"], bytes.fromhex(body["terminal"]), body["pan"],
                    bytes.fromhex(body["issuer"]), body["amount_fen"], bytes.fromhex(body["card_answer"]),
                )
            )  # fmt: skip
            if isinstance(offer, Refusal):
                return httpx.Response(422, json={"code": "LOAD_MAC1", "message": "no"})
            answer = {"load_id": offer.load_id, "at": offer.at.isoformat(), "mac2": offer.mac2.hex()}
            return httpx.Response(200, json=answer)
        said = host.confirm(path.split("/")[4], bytes.fromhex(body["tac"]), body["balance_after_fen"])
        return httpx.Response(200 if said is None else 422, json={"status": "posted"})

    client = httpx.Client(transport=httpx.MockTransport(office), base_url="http://office.test")
    shop = terminal(SHOP, RETAIL)
    result = shop.load(EmulatedLink(new_card()), 700, OfficeLoads(client, TOKEN))
    assert result.outcome == "accepted"
    assert result.balance_fen == 700
    assert seen == ["/api/v1/loads", "/api/v1/loads/L0/confirm"]
    assert host.posted == {"L0"}
