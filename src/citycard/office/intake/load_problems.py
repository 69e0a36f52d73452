# SPDX-License-Identifier: Apache-2.0
"""Why a load is refused."""

from __future__ import annotations

from citycard.core.problem import declare

LOAD_FORMAT = declare("LOAD_FORMAT", "The load request is malformed: {what}.", "充值请求格式有误：{what}。")
LOAD_CONFLICT = declare(
    "LOAD_CONFLICT",
    "Request {request} of this terminal asked for another load before. Use a new request id.",
    "本终端的请求 {request} 此前用于另一笔充值，请使用新的请求号。",
)
LOAD_CARD_UNKNOWN = declare(
    "LOAD_CARD_UNKNOWN", "Card {pan} was never issued here.", "卡片 {pan} 未在此发行。"
)
LOAD_CARD_STATUS = declare(
    "LOAD_CARD_STATUS",
    "Card {pan} is {status}; only an active card that is not on the hotlist can be loaded.",
    "卡片 {pan} 的状态为 {status}；只有正常且不在黑名单的卡片才能充值。",
)
LOAD_AMOUNT = declare(
    "LOAD_AMOUNT",
    "A load lies between {least_fen} and {most_fen} fen and may not lift the card above {cap_fen} fen.",
    "单笔充值须在 {least_fen} 至 {most_fen} 分之间，且卡内余额不得超过 {cap_fen} 分。",
)
LOAD_TERMINAL_INACTIVE = declare(
    "LOAD_TERMINAL_INACTIVE",
    "Terminal {terminal} is not in service and cannot load cards.",
    "终端 {terminal} 已停用，不能充值。",
)
LOAD_TERMINAL = declare(
    "LOAD_TERMINAL",
    "The request is for terminal {found}, the token is of terminal {terminal}.",
    "请求属于终端 {found}，而令牌属于终端 {terminal}。",
)
LOAD_MAC1 = declare(
    "LOAD_MAC1",
    "The card's answer does not prove that card {pan} asked for this load. Present the card again.",
    "卡片应答无法证明卡片 {pan} 请求了本次充值，请重新刷卡。",
)
LOAD_UNKNOWN = declare("LOAD_UNKNOWN", "There is no load {load}.", "没有充值记录 {load}。")
LOAD_TAC = declare(
    "LOAD_TAC",
    "The TAC does not prove that load {load} reached its card; the load stays pending.",
    "TAC 无法证明充值 {load} 已写入卡片；该笔充值仍待确认。",
)
LOAD_POSTED = declare(
    "LOAD_POSTED",
    "Load {load} is proven to be on its card and cannot be reversed.",
    "充值 {load} 已证实写入卡片，不能冲正。",
)
LOAD_VOIDED = declare("LOAD_VOIDED", "Load {load} was given up before.", "充值 {load} 此前已撤销。")
LOAD_NOT_PROVEN = declare(
    "LOAD_NOT_PROVEN",
    "This does not prove that load {load} missed its card: GET TRANSACTION PROVE must answer 9406 and the"
    " online counter must still be {counter}. The load stays pending.",
    "无法证明充值 {load} 未写入卡片：取交易认证须返回 9406 且联机计数器仍为 {counter}。该笔充值仍待确认。",
)
