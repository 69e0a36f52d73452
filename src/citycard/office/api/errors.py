# SPDX-License-Identifier: Apache-2.0
"""How the API says no: a status, a stable code, and a sentence in the reader's language."""

from __future__ import annotations

import logging
from typing import Any, Final

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from citycard.core.problem import Problem, declare
from citycard.core.record import BatchError

TOKEN = declare(
    "TOKEN",
    "No terminal is known by this token. Get a new one from the office.",
    "令牌无效，请向后台重新申请。",
)
REQUEST = declare("REQUEST", "The request is malformed: {what}.", "请求格式有误：{what}。")
TOO_LARGE = declare(
    "TOO_LARGE",
    "The request has {size} bytes; at most {most} are taken.",
    "请求大小为 {size} 字节，最多接受 {most} 字节。",
)
OTHER_TERMINAL = declare(
    "OTHER_TERMINAL",
    "This token is of terminal {terminal}; it may not ask for terminal {found}.",
    "该令牌属于终端 {terminal}，不能访问终端 {found}。",
)
OTHER_MEMBER = declare(
    "OTHER_MEMBER",
    "The token is of member {org}, the file is sent by {found}.",
    "令牌属于成员 {org}，而文件的发送方为 {found}。",
)
NO_ADDRESS = declare(
    "NO_ADDRESS",
    "There is nothing at {path}. The addresses are listed at /api/v1/docs.",
    "{path} 不存在。可用地址见 /api/v1/docs。",
)
INTERNAL = declare(
    "INTERNAL",
    "The office failed; nothing was kept of this request. Try again later.",
    "后台故障，本次请求未生效，请稍后重试。",
)
BATCH_FAULTS: Final = {
    one.code: one
    for one in (
        declare("BATCH_TRUNCATED", "The batch is cut short: {detail}.", "批次不完整：{detail}。"),
        declare("BATCH_FORMAT", "This is no batch: {detail}.", "不是有效的批次：{detail}。"),
        declare("BATCH_VERSION", "The batch has another version: {detail}.", "批次版本不支持：{detail}。"),
        declare("BATCH_DIGEST", "The batch was altered: {detail}.", "批次内容被改动：{detail}。"),
        declare("BATCH_TOTAL", "The batch does not add up: {detail}.", "批次合计不符：{detail}。"),
        declare("BATCH_SIZE", "The batch has the wrong size: {detail}.", "批次大小不符：{detail}。"),
    )
}
STATUS_DEFAULT: Final = 422
STATUS: Final = {
    "TOKEN": 401,
    "TOO_LARGE": 413,
    "OTHER_TERMINAL": 403,
    "BATCH_TERMINAL": 403,
    "BATCH_ACQUIRER": 403,
    "BATCH_CONFLICT": 409,
    "LOAD_TERMINAL": 403,
    "LOAD_TERMINAL_INACTIVE": 403,
    "LOAD_CONFLICT": 409,
    "LOAD_POSTED": 409,
    "LOAD_VOIDED": 409,
    "LOAD_UNKNOWN": 404,
    "LOAD_CARD_UNKNOWN": 404,
    "NO_ADDRESS": 404,
    "OTHER_MEMBER": 403,
    "FILE_NOT_OURS": 403,
    "MEMBER_UNKNOWN": 403,
    "FILE_ALTERED": 409,
    "FILE_AHEAD": 409,
    "INTERNAL": 500,
}
OURS: Final = (
    "VAULT_",
    "KEY_",
    "LEDGER_",
    "SCHEME_",
    "OFFICE_",
    "EXCHANGE_UNSET",
    "PARTNER_KEY_",
)  # the terminal cannot help these: 503
log = logging.getLogger(__name__)


def status_of(problem: Problem) -> int:
    """The HTTP status of a problem."""
    if problem.code.startswith(OURS):
        return 503
    return STATUS.get(problem.code, STATUS_DEFAULT)


def body_of(problem: Problem) -> dict[str, str]:
    """`{"code", "message"}` in the language the request asks for."""
    return {"code": problem.code, "message": problem.text(get_language() or "en")}


def install(api: NinjaAPI) -> None:
    """Answer every exception of the API's handlers."""

    def answer(request: HttpRequest, problem: Problem) -> HttpResponse:
        return api.create_response(request, body_of(problem), status=status_of(problem))

    def on_problem(request: HttpRequest, error: Any) -> HttpResponse:
        return answer(request, error)

    def on_batch(request: HttpRequest, error: Any) -> HttpResponse:
        assert isinstance(error, BatchError)
        return answer(request, BATCH_FAULTS[error.code](detail=error))

    def on_validation(request: HttpRequest, error: Any) -> HttpResponse:
        first = error.errors[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "given"))
        return answer(request, REQUEST(what=f"{where}: {first['msg']}"))

    def on_http(request: HttpRequest, error: Any) -> HttpResponse:
        return api.create_response(
            request, {"code": REQUEST.code, "message": str(error)}, status=error.status_code
        )

    def on_size(request: HttpRequest, error: Any) -> HttpResponse:
        size = request.META.get("CONTENT_LENGTH") or "?"
        return answer(request, TOO_LARGE(size=size, most="?"))

    def on_token(request: HttpRequest, error: Any) -> HttpResponse:
        return answer(request, TOKEN())

    def on_fault(request: HttpRequest, error: Any) -> HttpResponse:
        log.error("%s %s failed", request.method, request.path, exc_info=error)
        return answer(request, INTERNAL())

    api.add_exception_handler(Exception, on_fault)
    api.add_exception_handler(Problem, on_problem)
    api.add_exception_handler(BatchError, on_batch)
    api.add_exception_handler(ValidationError, on_validation)
    api.add_exception_handler(HttpError, on_http)
    api.add_exception_handler(RequestDataTooBig, on_size)
    api.add_exception_handler(AuthenticationError, on_token)
