# SPDX-License-Identifier: Apache-2.0
"""The HTTPS carrier: brings files to a member's office and fetches ours from it, over its API.

Who has an address is visited by us; who visits us needs none. Both sides show who they are: the office by its
certificate, we by a token, and by a certificate of our own where a door asks for one. In HOME/partners lie
`{organisation}.token`, readable for its owner alone; `{organisation}.ca.pem`, when a member's certificate is
from an authority of its own, and then of no other; `client.pem`, our certificate and its key.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from citycard.core.interop.files import FILE_BYTES_MAX
from citycard.core.problem import Problem, declare
from citycard.office.partners import inbox, outbox, shelf
from citycard.office.partners.carriers import Visit
from citycard.office.partners.models import Member

FILES: Final = "/api/v1/partners/files"
SIGNATURE_HEADER: Final = "Citycard-Signature"
CLIENT: Final = "client.pem"
JUDGED: Final = (409, 422)  # the file came, and was set aside: what becomes of it is told by LD lists
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
TIMEOUT_S: Final = 60
ROUNDS_MAX: Final = 10_000  # files of one visit

PARTNER_UNREACHABLE = declare(
    "PARTNER_UNREACHABLE",
    "The office of {org} at {url} cannot be reached: {why}. Nothing was lost; try again later.",
    "无法连接 {org} 的后台 {url}：{why}。文件未丢失，请稍后重试。",
)
PARTNER_OPEN = declare(
    "PARTNER_OPEN",
    "The address {url} of {org} is not https: token and files would travel in the open. Correct the address.",
    "{org} 的地址 {url} 不是 https，令牌和文件会明文传输，请更正地址。",
)
PARTNER_TOKEN = declare(
    "PARTNER_TOKEN",
    "There is no token to show to {org}. Get one from it, and keep it: `citycard partners token`.",
    "没有访问 {org} 后台的令牌。请向对方索取，并用 `citycard partners token` 保存。",
)
PARTNER_TLS = declare(
    "PARTNER_TLS",
    "The certificates in {folder} for {org} cannot be used: {why}. They are PEM; client.pem has a key.",
    "{folder} 中用于 {org} 的证书无法使用：{why}。请放置 PEM 文件，client.pem 须含私钥。",
)
PARTNER_ANSWER = declare(
    "PARTNER_ANSWER",
    "The office of {org} answered {status} to {name}: {why}.",
    "{org} 的后台对 {name} 应答 {status}：{why}。",
)


def keep_token(org: str, token: str) -> None:
    """Keep the token with which we reach a member."""
    path = _token_path(org)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token)


def connect(member: Member) -> httpx.Client:
    """A connection to a member's office; PARTNER_OPEN when a token would travel in the open."""
    parts = urlsplit(member.url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise PARTNER_OPEN(org=member.org, url=member.url)
    return httpx.Client(
        base_url=member.url, timeout=TIMEOUT_S, headers=headers(member), verify=_trust(member)
    )


def _trust(member: Member) -> ssl.SSLContext | bool:
    """Whom to believe at a member's address, and what to show there; PARTNER_TLS."""
    folder = Path(settings.CITYCARD_HOME) / shelf.ROOT
    authority, ours = folder / f"{member.org}.ca.pem", folder / CLIENT
    if not authority.exists() and not ours.exists():
        return True
    try:
        context = ssl.create_default_context(cafile=authority if authority.exists() else None)
        if ours.exists():
            context.load_cert_chain(ours, password="")  # never ask a terminal for one
    except (ssl.SSLError, OSError) as fault:
        raise PARTNER_TLS(org=member.org, folder=folder, why=fault) from None
    return context


def headers(member: Member) -> dict[str, str]:
    """What we show at a member's door; PARTNER_TOKEN."""
    path = _token_path(member.org)
    token = path.read_text(encoding="ascii").strip() if path.exists() else ""
    if not token:
        raise PARTNER_TOKEN(org=member.org)
    return {"Authorization": f"Bearer {token}"}


def visit(client: httpx.Client, member: Member) -> Visit:
    """Bring, then fetch; PARTNER_UNREACHABLE, PARTNER_ANSWER. What was done until then stands.

    A file that the member sets aside does not keep those behind it from going.
    """
    done = Visit()
    for file in outbox.waiting(member):
        name = str(outbox.name_of(file))
        raw, signature = outbox.sealed(file)
        sealed = {SIGNATURE_HEADER: signature.decode("ascii").strip()}
        answer = _call(client, member, "PUT", f"/{name}", content=raw, headers=sealed)
        if answer.status_code in JUDGED:
            done.refused[name] = _code(answer)
        elif answer.status_code not in (200, 201):
            raise _unfit(member, name, answer)
        else:
            done.sent.append(name)
        outbox.delivered(file)
    for name in _listed(client, member):
        _fetch(client, member, name, done)
    return done


def _listed(client: httpx.Client, member: Member) -> list[str]:
    answer = _call(client, member, "GET", "")
    if answer.status_code != 200:
        raise _unfit(member, "list", answer)
    names = answer.json()["files"]
    return [str(name) for name in names][:ROUNDS_MAX]


def _fetch(client: httpx.Client, member: Member, name: str, done: Visit) -> None:
    answer = _call(client, member, "GET", f"/{name}")
    if answer.status_code != 200 or len(answer.content) > FILE_BYTES_MAX:
        raise _unfit(member, name, answer)
    signature = answer.headers.get(SIGNATURE_HEADER, "").encode("ascii", "replace")
    try:
        receipt = inbox.receive(name, answer.content, signature or None)
    except Problem as problem:
        done.refused[name] = problem.code
    else:
        getattr(done, receipt.status).append(name)
    _call(client, member, "POST", f"/{name}/fetched")


def _call(client: httpx.Client, member: Member, method: str, path: str, **more: Any) -> httpx.Response:
    try:
        return client.request(method, FILES + path, **more)
    except httpx.RequestError as fault:
        raise PARTNER_UNREACHABLE(org=member.org, url=member.url, why=_words(fault)) from None


def _words(fault: httpx.RequestError) -> str:
    return f"{type(fault).__name__} {fault}".strip()[:200]


def _code(answer: httpx.Response) -> str:
    """The code of the problem a member answered."""
    try:
        return str(answer.json()["code"])[:40]
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)


def _unfit(member: Member, name: str, answer: httpx.Response) -> Problem:
    return PARTNER_ANSWER(org=member.org, status=answer.status_code, name=name, why=answer.text[:200])


def _token_path(org: str) -> Path:
    return Path(settings.CITYCARD_HOME) / shelf.ROOT / f"{org}.token"
