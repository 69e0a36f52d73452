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
TABLES_REFUSED: Final = frozenset({"INPUT_MISSING", "INPUT_INVALID", "CONTRACT_AMBIGUOUS"})  # the office's
SPARK_MISSING: Final = declare(
    "SPARK_MISSING",
    "The Spark engine needs the package pyspark and Java 17: install `citycard[spark]` and a Java runtime, "
    "or leave --engine out.",
    "Spark 引擎需要 pyspark 和 Java 17：请安装 `citycard[spark]` 及 Java 运行环境，或不使用 --engine。",
)
SPARK_FAILED: Final = declare(
    "SPARK_FAILED",
    "No session with the Spark master {master}: {why}. Check that the cluster runs "
    "(`scripts/spark-cluster start`).",
    "无法连接 Spark 主节点 {master}：{why}。请确认集群已启动（`scripts/spark-cluster start`）。",
)
SPARK_WORK_FAILED: Final = declare(
    "SPARK_WORK_FAILED",
    "The Spark cluster {master} gave the run up: {why}. Nothing was closed; look into the workers' logs, and "
    "run again.",
    "Spark 集群 {master} 未能完成清分：{why}。该日尚未关闭，请查看工作节点日志后重新执行。",
)
LAKE_FULL: Final = declare(
    "LAKE_FULL",
    "The run of {date} could not write to {folder}: {why}. Nothing was closed; make room and run again.",
    "{date} 的清分无法写入 {folder}：{why}。该日尚未关闭，请释放空间后重新执行。",
)
LAKE_STORE_FAILED: Final = declare(
    "LAKE_STORE_FAILED",
    "The lake's store {store} cannot be used: {why}. Check its address, its credentials and the network.",
    "无法访问数据湖存储 {store}：{why}。请检查地址、凭证和网络。",
)
TAP_UNKNOWN: Final = declare(
    "TAP_UNKNOWN",
    "No closed run knows a tap called {tap}. A tap is called TERMINAL-SEQUENCE, as in "
    "310001050306-0000000042; taps older than the lake's retention are gone.",
    "已关闭的清分中没有编号为 {tap} 的交易。编号格式为“终端号-流水号”，如 310001050306-0000000042；"
    "超过保留期的交易已删除。",
)
RETENTION_SHORT: Final = declare(
    "RETENTION_SHORT",
    "Taps must stay in the lake for at least {least} days: later ones are still held against them.",
    "数据湖中的交易至少须保留 {least} 天，后续清分仍需与之核对。",
)
LAKE_DATE = declare(
    "LAKE_DATE",
    "Business date {date} is not closed in {home}; `citycard lake stats` shows what is there.",
    "{home} 中没有已关闭的清算日 {date}，可用 `citycard lake stats` 查看。",
)
LAKE_TAPS_GONE = declare(
    "LAKE_TAPS_GONE",
    "The taps of {date} were taken out of the lake (`citycard lake retain`); results and statements stay.",
    "{date} 的交易已按保留期移出数据湖（`citycard lake retain`），结果与结算单仍保留。",
)
