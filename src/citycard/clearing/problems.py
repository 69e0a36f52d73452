# SPDX-License-Identifier: Apache-2.0
"""What a clearing run tells people when it cannot go on: what is wrong, where, and what to do."""

from __future__ import annotations

from typing import Final

from citycard.core.problem import Declared, declare

BUSINESS_DATE_CLOSED: Final[Declared] = declare(
    "BUSINESS_DATE_CLOSED",
    "Business date {date} is closed and stays as it is. New batches are settled with the next date; "
    "a mistake is corrected there by an adjustment.",
    "清算日 {date} 已关闭，不能重做。新到批次将在下一清算日处理，差错请在下一清算日调整。",
)
LATER_DATE_RUN: Final = declare(
    "LATER_DATE_RUN",
    "Business date {date} cannot be run: {later} was started already. Run the dates in order.",
    "无法清分 {date}：{later} 已经开始清分，请按日期顺序执行。",
)
EARLIER_RUN_UNFINISHED: Final = declare(
    "EARLIER_RUN_UNFINISHED",
    "Business date {date} cannot be run: the run of {earlier} was started and not finished. "
    "Run {earlier} again first.",
    "无法清分 {date}：{earlier} 的清分尚未完成，请先重新执行 {earlier}。",
)
RUN_IN_PROGRESS: Final = declare(
    "RUN_IN_PROGRESS",
    "Another clearing run is at work in {home}. Wait until it ends.",
    "{home} 中有另一个清分任务正在执行，请等待其结束。",
)
RAW_DAMAGED: Final = declare(
    "RAW_DAMAGED",
    "Raw batch {path} is damaged ({why}); its digest should be {digest}. "
    "Fetch the batch again from its terminal or from a backup, put it in place, and run again.",
    "原始批次文件 {path} 已损坏（{why}），其摘要应为 {digest}。请从终端或备份恢复该文件后重新执行。",
)
RAW_MISSING: Final = declare(
    "RAW_MISSING",
    "Raw batch {digest} belongs to the run of {date}, but {path} is gone. Restore it and run again.",
    "批次 {digest} 属于 {date} 的清分，但文件 {path} 不存在，请恢复后重新执行。",
)
LAKE_DAMAGED: Final = declare(
    "LAKE_DAMAGED",
    "Lake file {path} is not what the run of {date} wrote (digest {digest} expected). "
    "Restore it from a backup.",
    "数据湖文件 {path} 与 {date} 清分时写入的内容不符（应为摘要 {digest}），请从备份恢复。",
)
INPUT_MISSING: Final = declare(
    "INPUT_MISSING",
    "Clearing needs {path}. Export the reference tables of {date} from the office first.",
    "清分需要文件 {path}，请先从后台导出 {date} 的参考表。",
)
INPUT_INVALID: Final = declare(
    "INPUT_INVALID",
    "{path} cannot be used: {why}. Correct it in the office and export again.",
    "文件 {path} 无法使用：{why}。请在后台更正后重新导出。",
)
CONTRACT_AMBIGUOUS: Final = declare(
    "CONTRACT_AMBIGUOUS",
    "Contracts {contracts} cover service {service}, acquirer {acquirer}, issuer {issuer} on {date} "
    "equally well. Let one of them end earlier or make it more specific.",
    "合同 {contracts} 对业务 {service}、受理机构 {acquirer}、发卡机构 {issuer} 在 {date} 同等适用，"
    "请缩短其中之一的有效期或使其更具体。",
)
