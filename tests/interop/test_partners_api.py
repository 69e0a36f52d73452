# SPDX-License-Identifier: Apache-2.0
"""The API between members, over the office's WSGI application: bring, list, fetch; and our carrier over it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from citycard.core.interop import files
from citycard.core.interop.files import FileName
from citycard.core.problem import Problem
from tests.interop.conftest import DAY, EAST, HUB, Place
from tests.interop.test_partners_office import listed

ROOT = "http://127.0.0.1/api/v1/partners/files"


@pytest.fixture
def doors(west: Place) -> Iterator[dict[str, httpx.Client]]:
    """A client for each neighbour, with its token, and one with none."""
    from citycard.office.partners import access
    from citycard.office.wsgi import application

    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    transport = httpx.WSGITransport(app=application)
    tokens = {org: access.mint(org) for org in (HUB, EAST)} | {"nobody": "ccp_nothing"}
    yield {
        org: httpx.Client(
            transport=transport, headers={"Authorization": f"Bearer {token}", "Accept-Language": "zh"}
        )
        for org, token in tokens.items()
    }
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def bring(door: httpx.Client, item: tuple[str, bytes, bytes]) -> tuple[int, str]:
    name, raw, signature = item
    headers = {"Citycard-Signature": signature.decode().strip()}
    answer = door.put(f"{ROOT}/{name}", content=raw, headers=headers)
    body = answer.json()
    return answer.status_code, body.get("status") or body["code"]


def test_a_member_brings_files(west: Place, doors: dict[str, httpx.Client]) -> None:
    hub, door = west[HUB], doors[HUB]
    first, second = hub.file("DC", [listed()]), hub.file("DC", [], form="jsonl")
    assert bring(door, second) == (201, "waiting")
    assert bring(door, first) == (201, "taken")
    assert bring(door, first) == (200, "known")
    assert bring(door, hub.file("DC", [], number=1)) == (409, "FILE_ALTERED")
    assert bring(door, (first[0], first[1], b"{}")) == (422, "FILE_SIGNATURE")
    assert bring(door, hub.file("BP", [{"settled_on": DAY, "member_org": EAST}])) == (422, "FILE_REFUSED")
    assert bring(door, ("x.txt", b"", b"")) == (422, "FILE_NAME")
    assert bring(doors[EAST], first) == (403, "OTHER_MEMBER")
    assert bring(doors["nobody"], first) == (401, "TOKEN")


def test_a_member_fetches_what_is_for_it(west: Place, doors: dict[str, httpx.Client]) -> None:
    from citycard.office.partners import desk, outbox, shelf

    made = outbox.send("CD", desk.member(HUB), [], DAY)
    name = str(outbox.name_of(made))
    assert doors[HUB].get(ROOT).json() == {"files": [name]}
    assert doors[EAST].get(ROOT).json() == {"files": []}
    answer = doors[HUB].get(f"{ROOT}/{name}")
    raw, signature = shelf.read(made.path)
    assert (answer.content, answer.headers["Citycard-Signature"]) == (
        raw,
        (signature or b"").decode().strip(),
    )
    assert files.read(FileName.parse(name), raw) == []
    assert doors[EAST].get(f"{ROOT}/{name}").status_code == 404
    assert doors[HUB].get(f"{ROOT}/{name.replace('000001', '000002')}").status_code == 404
    assert doors[HUB].post(f"{ROOT}/{name}/fetched").json()["status"] == "fetched"
    assert doors[HUB].get(ROOT).json() == {"files": []}
    assert doors[HUB].get(f"{ROOT}/{name}").status_code == 200  # asked again, given again


class Theirs(httpx.BaseTransport):
    """The hub's office, as far as our carrier sees it: keeps what comes, gives one file, may be away."""

    def __init__(self, item: tuple[str, bytes, bytes]) -> None:
        self.item = item
        self.got: dict[str, bytes] = {}
        self.fetched = False
        self.away = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("nobody there")
        assert request.headers["Authorization"] == "Bearer ccp_ours"
        name = request.url.path.rpartition("/files")[2].strip("/")
        if request.method == "PUT":
            self.got[name] = request.read()
            return httpx.Response(201, json={"name": name, "status": "taken"})
        if request.method == "POST":
            self.fetched = True
            return httpx.Response(200, json={"name": name, "status": "fetched"})
        if not name:
            return httpx.Response(200, json={"files": [] if self.fetched else [self.item[0]]})
        signature = self.item[2].decode().strip()
        return httpx.Response(200, content=self.item[1], headers={"Citycard-Signature": signature})


def test_our_carrier_brings_and_fetches(west: Place) -> None:
    from citycard.office.partners import desk, http, outbox, travel
    from citycard.office.partners.models import Member

    member = desk.member(HUB)
    http.keep_token(HUB, "ccp_ours")
    assert (west.home / "partners" / f"{HUB}.token").stat().st_mode & 0o077 == 0
    made = outbox.send("CD", member, [], DAY)
    theirs = Theirs(west[HUB].file("DC", [listed()]))
    client = httpx.Client(transport=theirs, base_url="http://hub.test", headers=http.headers(member))
    theirs.away = True
    with pytest.raises(Problem) as caught:
        http.visit(client, member)
    assert caught.value.code == "PARTNER_UNREACHABLE"
    theirs.away = False
    visit = http.visit(client, member)
    assert (visit.sent, visit.taken) == ([str(outbox.name_of(made))], [theirs.item[0]])
    assert list(theirs.got) == visit.sent
    assert http.visit(client, member).sent == []
    Member.objects.update(box="", url="http://hub.test")
    with pytest.raises(Problem) as caught:
        travel.visit(desk.member(HUB))
    assert caught.value.code == "PARTNER_OPEN"
    Member.objects.update(box="", url="")
    with pytest.raises(Problem) as caught:
        travel.visit(desk.member(HUB))
    assert caught.value.code == "NO_CARRIER"
