# SPDX-License-Identifier: Apache-2.0
"""Why a business date cannot be posted or settled."""

from __future__ import annotations

from citycard.core.problem import declare

BUSINESS_DATE_OTHERWISE = declare(
    "BUSINESS_DATE_OTHERWISE",
    "Business date {date} is closed, and clearing's answer in {folder} is not the one it was closed with."
    " Nothing was changed. Records that came later are settled on the next business date.",
    "清算日 {date} 已关闭，而 {folder} 中的清分结果与关闭时不同，未作改动。后到的记录在下一清算日清算。",
)
CLEARING_MISSING = declare(
    "CLEARING_MISSING",
    "Clearing has not answered for {date}: {file} is missing. Run `citycard clear --date {date}` first.",
    "{date} 尚无清分结果：缺少 {file}。请先运行 `citycard clear --date {date}`。",
)
CLEARING_UNREADABLE = declare(
    "CLEARING_UNREADABLE",
    "Clearing's answer for {date} cannot be read: {why}. Nothing was posted; clear the date again.",
    "无法读取 {date} 的清分结果：{why}。未入账，请重新清分。",
)
CLEARING_INCONSISTENT = declare(
    "CLEARING_INCONSISTENT",
    "Clearing's answer for {date} contradicts itself: {why}. Nothing was posted; clear the date again.",
    "{date} 的清分结果自相矛盾：{why}。未入账，请重新清分。",
)
NOT_POSTED = declare(
    "NOT_POSTED",
    "Business date {date} has not been posted, so there is nothing to settle.",
    "清算日 {date} 尚未入账，无法清算。",
)
MONTH_NOT_OVER = declare(
    "MONTH_NOT_OVER",
    "Month {month} is not over in the books: its last day {last} has not been settled. Settle it first.",
    "账上 {month} 月尚未结束：最后一日 {last} 尚未清算。请先完成清算。",
)
VOLUMES_UNTOLD = declare(
    "VOLUMES_UNTOLD",
    "Month {month} cannot be closed: {dates} were cleared by a version that did not tell volumes. Let the"
    " contract with volume tiers begin (valid_from) after these dates; nothing was posted.",
    "{month} 月无法关账：{dates} 由旧版本清分，未提供交易量。"
    "请将含阶梯费率的合同生效日设在这些日期之后；未入账。",
)
VOLUME_CONTRACT_GONE = declare(
    "VOLUME_CONTRACT_GONE",
    "Taps of {month} were cleared under contract {contract!r}, which is not among the contracts any more."
    " Enter it again under that name; nothing was posted.",
    "{month} 月有交易按合同“{contract}”清分，但该合同已不存在。请以原名恢复该合同；未入账。",
)
