# SPDX-License-Identifier: Apache-2.0
"""How files travel: both forms by both carriers, half-written ones, repeats, doors that ask who is there."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from citycard.core.interop import files, signing
from citycard.core.interop.files import FileName
from citycard.core.problem import Problem
from tests.interop.conftest import DAY, HUB, WEST, Place
from tests.interop.test_partners_office import listed

every_form = pytest.mark.parametrize("form", files.FORMS)
Item = tuple[str, bytes, bytes]


def hub_member(form: str = "txt") -> Any:
    """The hub as our member, to whom we write in a form."""
    from citycard.office.partners import desk
    from citycard.office.partners.models import Member

    Member.objects.filter(pk=HUB).update(form=form)
    return desk.member(HUB)


def genuine(name: str, raw: bytes, envelope: bytes) -> int:
    """How many records a file of ours has; its signature is ours."""
    from citycard.office.partners import keyring

    signing.check(name, raw, envelope, keyring.keys_of(WEST), DAY)
    return len(files.read(FileName.parse(name), raw))


def put(folder: Path, item: Item) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{item[0]}.sig").write_bytes(item[2])
    (folder / item[0]).write_bytes(item[1])
    return folder / item[0]


@every_form
def test_the_drop_box_carries_both_forms_both_ways(west: Place, form: str) -> None:
    from citycard.office.partners import carriers, outbox

    rows = [{"sender_org": HUB, "receiver_org": WEST, "sequence": 1, "state": "wanted"}]
    outbox.send("LD", hub_member(form), rows, DAY)
    (name,) = carriers.deliver(hub_member(form))
    there = west.home / "box" / HUB / "inbox"
    assert name.endswith(form)
    assert genuine(name, (there / name).read_bytes(), (there / f"{name}.sig").read_bytes()) == 1
    came = west[HUB].file("DC", [listed()], form=form)
    put(west.home / "box" / WEST / "inbox", came)
    assert carriers.collect(west.home / "box").taken == [came[0]]


def test_a_file_shows_when_it_is_whole(west: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the rename there is nothing but a name with a dot; the next visit brings the file."""
    from citycard.office.partners import carriers, outbox

    outbox.send("CD", hub_member(), [], DAY)
    rename = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.suffix != ".sig" and target.parent.name == "inbox":
            raise OSError(5, "killed here")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(Problem, match="killed here") as caught:
        carriers.deliver(hub_member())
    assert caught.value.code == "BOX_UNREACHABLE"
    inbox = west.home / "box" / HUB / "inbox"
    assert [path for path in inbox.iterdir() if files.NAME.fullmatch(path.name)] == []
    monkeypatch.undo()
    (name,) = carriers.deliver(hub_member())
    assert (inbox / name).exists()


def test_what_is_still_on_its_way_is_left_alone(west: Place) -> None:
    """Mirrored folders bring a file before its signature; a link is no file of the box."""
    from citycard.office.partners import carriers

    box = west.home / "box"
    inbox, item = box / WEST / "inbox", west[HUB].file("DC", [listed()])
    path = put(inbox, item)
    sealed = path.with_name(f"{path.name}.sig")
    sealed.unlink()
    secret = west.home / "another file of this machine"
    secret.write_bytes(b"secret")
    (inbox / item[0].replace("000001", "000002")).symlink_to(secret)
    (inbox / item[0].replace("000001", "000003")).mkdir()
    visit = carriers.collect(box)
    assert (visit.taken, visit.refused, visit.unsigned) == ([], {}, [item[0]])
    sealed.write_bytes(item[2])
    assert carriers.collect(box).taken == [item[0]]
    assert not path.exists()
    put(inbox, item)  # once more: quiet, and out of the way
    again = carriers.collect(box)
    assert (again.known, again.taken, path.exists()) == ([item[0]], [], False)


class Hub(httpx.BaseTransport):
    """The hub's office as our carrier sees it: answers each file we bring by a rule, and gives one."""

    def __init__(self, item: Item, answer: Callable[[str], httpx.Response]) -> None:
        self.item, self.answer = item, answer
        self.got: dict[str, tuple[bytes, bytes]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        name = request.url.path.rpartition("/files")[2].strip("/")
        if request.method == "PUT":
            self.got[name] = (request.read(), request.headers["Citycard-Signature"].encode())
            return self.answer(name)
        if request.method == "POST":
            return httpx.Response(200, json={"name": name, "status": "fetched"})
        if not name:
            return httpx.Response(200, json={"files": [self.item[0]]})  # it never hears that we have it
        return httpx.Response(
            200, content=self.item[1], headers={"Citycard-Signature": self.item[2].decode().strip()}
        )


def visited(theirs: Hub) -> Any:
    from citycard.office.partners import http

    with httpx.Client(transport=theirs, base_url="http://hub.test") as client:
        return http.visit(client, hub_member())


@every_form
def test_the_api_carries_both_forms_both_ways_and_repeats_are_quiet(west: Place, form: str) -> None:
    from citycard.office.partners import outbox

    outbox.send("CD", hub_member(form), [], DAY)
    theirs = Hub(west[HUB].file("DC", [listed()], form=form), lambda name: httpx.Response(201, json={}))
    first = visited(theirs)
    ((name, (raw, envelope)),) = theirs.got.items()
    assert (name.endswith(form), genuine(name, raw, envelope)) == (True, 0)
    assert (first.sent, first.taken) == ([name], [theirs.item[0]])
    again = visited(theirs)
    assert (again.sent, again.taken, again.known) == ([], [], [theirs.item[0]])


def test_a_file_set_aside_keeps_no_other_from_going(west: Place) -> None:
    from citycard.office.partners import outbox

    for _ in range(3):
        outbox.send("CD", hub_member(), [], DAY)
    answers = {
        1: httpx.Response(422, json={"code": "FILE_REFUSED", "message": ""}),
        2: httpx.Response(201, json={}),
    }

    def answer(name: str) -> httpx.Response:
        return answers.get(FileName.parse(name).sequence, httpx.Response(503, text="not now"))

    theirs = Hub(west[HUB].file("DC", [listed()]), answer)
    with pytest.raises(Problem) as caught:
        visited(theirs)
    assert (caught.value.code, caught.value.fields["status"]) == ("PARTNER_ANSWER", 503)
    assert [FileName.parse(str(outbox.name_of(file))).sequence for file in outbox.waiting(hub_member())] == [
        3
    ]
    answers[3] = answers[1]
    third = visited(theirs)
    assert (list(third.refused.values()), third.taken) == (["FILE_REFUSED"], [theirs.item[0]])


class Door(BaseHTTPRequestHandler):
    """An office behind TLS with nothing for us."""

    def do_GET(self) -> None:
        body = b'{"files": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


def certificate(name: str, issuer: tuple[x509.Certificate, EllipticCurvePrivateKey] | None) -> tuple[
    x509.Certificate, EllipticCurvePrivateKey
]:  # fmt: skip
    """A certificate for this test, of an authority made for it, or such an authority."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(issuer[1] if issuer else key, SHA256())
    )
    return made, key


def pem(made: tuple[x509.Certificate, EllipticCurvePrivateKey], with_key: bool = True) -> bytes:
    private = made[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made[0].public_bytes(Encoding.PEM) + (private if with_key else b"")


@pytest.fixture
def door(tmp_path: Path) -> Iterator[tuple[str, Callable[[str], bytes], bytes]]:
    """An address that asks visitors for a certificate, a maker of such, and its authority."""
    authority = certificate("an authority for tests", None)
    for name, content in (
        ("own.pem", pem(certificate("127.0.0.1", authority))),
        ("ca.pem", pem(authority, False)),
    ):
        (tmp_path / name).write_bytes(content)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    context.load_cert_chain(tmp_path / "own.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = HTTPServer(("127.0.0.1", 0), Door)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield (
        f"https://127.0.0.1:{server.server_port}",
        lambda name: pem(certificate(name, authority)),
        pem(authority, False),
    )
    server.shutdown()
    thread.join()
    server.server_close()


def test_both_sides_of_a_door_show_who_they_are(
    west: Place, door: tuple[str, Callable[[str], bytes], bytes]
) -> None:
    from citycard.office.partners import http, travel
    from citycard.office.partners.models import Member

    url, made, authority = door
    Member.objects.filter(pk=HUB).update(url=url)
    folder = west.home / "partners"
    folder.mkdir(exist_ok=True)

    def refused() -> str:
        with pytest.raises(Problem) as caught:
            travel.visit(hub_member())
        assert caught.value.text("zh") != caught.value.text("en")
        return caught.value.code

    assert refused() == "PARTNER_TOKEN"
    http.keep_token(HUB, "ccp_ours")
    assert refused() == "PARTNER_UNREACHABLE"  # we do not know who certified them
    (folder / f"{HUB}.ca.pem").write_bytes(authority)
    assert refused() == "PARTNER_UNREACHABLE"  # they do not know us
    (folder / "client.pem").write_bytes(b"no certificate")
    assert refused() == "PARTNER_TLS"
    (folder / "client.pem").write_bytes(made(WEST))
    assert travel.visit(hub_member()).refused == {}
    (folder / f"{HUB}.ca.pem").write_bytes(pem(certificate("a stranger", None), False))
    assert refused() == "PARTNER_UNREACHABLE"
