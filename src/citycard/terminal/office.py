# SPDX-License-Identifier: Apache-2.0
"""One call to the office: a bearer token, one clear word for a network that fails, another for a token.

The `httpx.Client` is given: over the network in life, over `httpx.WSGITransport` in one process.
"""

from __future__ import annotations

from typing import Any, Final

import httpx

from citycard.core.problem import declare

API: Final = "/api/v1"

OFFICE_TOKEN = declare(
    "OFFICE_TOKEN",
    "The office does not accept this terminal's token ({status}: {why}). Give the terminal a new token.",
    "后台不接受本终端的令牌（{status}：{why}）。请为终端重新发放令牌。",
)
OFFICE_ANSWER = declare(
    "OFFICE_ANSWER",
    "The office answered {path} with {status} and no content this terminal understands: {why}. Check the "
    "address; nothing was marked as delivered.",
    "后台对 {path} 的应答（{status}）无法理解：{why}。请检查地址，数据未标记为已送达。",
)


class Unreachable(Exception):
    """The office did not answer, or answered that it cannot just now: try again later."""


def call(client: httpx.Client, method: str, path: str, token: str, **more: Any) -> httpx.Response:
    """One request. `Unreachable` on a broken network, 5xx, 408 or 429; OFFICE_TOKEN on 401 or 403."""
    headers = {"Authorization": f"Bearer {token}"} | more.pop("headers", {})
    try:
        response = client.request(method, path, headers=headers, **more)
    except httpx.RequestError as fault:
        raise Unreachable(f"{type(fault).__name__}: {fault}") from None
    status = response.status_code
    if status >= 500 or status in (408, 429):
        raise Unreachable(f"the office answered {status}")
    if status in (401, 403):
        raise OFFICE_TOKEN(status=status, why=said(response))
    return response


def said(response: httpx.Response) -> str:
    """What the office says is wrong: its code and message if it gave them."""
    try:
        body = response.json()
    except ValueError:
        return response.reason_phrase
    if not isinstance(body, dict):
        return response.reason_phrase
    return ": ".join(str(body[key]) for key in ("code", "message") if body.get(key)) or response.reason_phrase
