# SPDX-License-Identifier: Apache-2.0
"""Why payments cannot be ordered, or a bank statement cannot be taken."""

from __future__ import annotations

from citycard.core.problem import declare

NOT_SETTLED = declare(
    "NOT_SETTLED",
    "Business date {date} has not been settled, so there is nothing to pay."
    " Run `citycard settle --date {date}` first.",
    "清算日 {date} 尚未清算，没有可付的款项。请先运行 `citycard settle --date {date}`。",
)
BANK_ACCOUNT_MISSING = declare(
    "BANK_ACCOUNT_MISSING",
    "There is no bank account for {participants}. No file was made."
    " Add it in the console, or as bank_account in the scheme file.",
    "机构 {participants} 没有银行账户，未生成付款文件。请在控制台或方案文件的 bank_account 中添加。",
)
PAYMENT_STATE = declare(
    "PAYMENT_STATE",
    "{what} is {state}; it cannot be moved on by `{event}`. Nothing was changed.",
    "{what} 当前状态为 {state}，不能执行 `{event}`，未作改动。",
)
PAYMENT_UNKNOWN = declare(
    "PAYMENT_UNKNOWN",
    "There is no payment file or order {name!r}.",
    "没有付款文件或付款指令“{name}”。",
)
PAYMENT_FILE_WRONG = declare(
    "PAYMENT_FILE_WRONG",
    "{file} is no payment file to send: {why}. Fetch it again with `citycard pay`, or from the console.",
    "{file} 不是可发送的付款文件：{why}。请用 `citycard pay` 或在控制台重新获取。",
)
BANK_FILE_INVALID = declare(
    "BANK_FILE_INVALID",
    "{file} is no bank statement this office reads (camt.053.001.08): {why}. Nothing was taken.",
    "{file} 不是本系统可读的银行对账单（camt.053.001.08）：{why}。未导入任何内容。",
)
BANK_FILE_ACCOUNT = declare(
    "BANK_FILE_ACCOUNT",
    "{statement} is of account {account}, which is not the settlement account. Nothing was taken.",
    "{statement} 的账户 {account} 不是清算账户，未导入任何内容。",
)
BANK_MESSAGE_UNKNOWN = declare(
    "BANK_MESSAGE_UNKNOWN",
    "{file} is no bank statement, notification or status report this office reads ({kinds}): {why}."
    " Nothing was taken.",
    "{file} 不是本系统可读的银行对账单、收支通知或付款状态报告（{kinds}）：{why}。未导入任何内容。",
)
BANK_MESSAGE_VERSION = declare(
    "BANK_MESSAGE_VERSION",
    "{file} is {found}; of these messages this office reads {kinds}. Nothing was taken; ask the bank for that"
    " version.",
    "{file} 为 {found}，本系统可读版本为 {kinds}。未导入任何内容，请向银行索取该版本。",
)
BANK_MESSAGE_INVALID = declare(
    "BANK_MESSAGE_INVALID",
    "{file} is no valid {message}: {why}. Nothing was taken.",
    "{file} 不是有效的 {message}：{why}。未导入任何内容。",
)
BANK_MESSAGE_OTHERWISE = declare(
    "BANK_MESSAGE_OTHERWISE",
    "Message {message} was imported before with other content. Nothing was taken; ask the bank which of"
    " the two is right.",
    "报文 {message} 此前已导入且内容不同，未导入任何内容。请向银行核实哪一份正确。",
)
REPORT_UNKNOWN = declare(
    "REPORT_UNKNOWN",
    "Report {report} is about message {message}, which this office did not send. Nothing was taken.",
    "状态报告 {report} 所指报文 {message} 并非本系统发出，未导入任何内容。",
)
REPORT_UNFIT = declare(
    "REPORT_UNFIT",
    "Report {report} does not fit payment file {message}: {why}. Nothing was taken; ask the bank.",
    "状态报告 {report} 与付款文件 {message} 不符：{why}。未导入任何内容，请询问银行。",
)
BANK_STATEMENT_OTHERWISE = declare(
    "BANK_STATEMENT_OTHERWISE",
    "Statement {statement} was imported before with other content. Nothing was taken; ask the bank which"
    " of the two is right.",
    "对账单 {statement} 此前已导入且内容不同，未导入任何内容。请向银行核实哪一份正确。",
)
BANK_STATEMENT_SUMS = declare(
    "BANK_STATEMENT_SUMS",
    "Statement {statement} does not add up: opening balance and entries give {sum_fen} fen, it closes with"
    " {closing_fen} fen. Nothing was taken.",
    "对账单 {statement} 不平：期初余额加发生额为 {sum_fen} 分，期末余额为 {closing_fen} 分。未导入任何内容。",
)
BANK_STATEMENT_GAP = declare(
    "BANK_STATEMENT_GAP",
    "Statement {statement} opens with {opening_fen} fen, the ledger holds {held_fen} fen at the bank."
    " A statement in between is missing: import it first.",
    "对账单 {statement} 期初余额为 {opening_fen} 分，账本中银行存款为 {held_fen} 分。"
    "缺少中间的对账单，请先导入。",
)
BANK_STATEMENT_SEQUENCE = declare(
    "BANK_STATEMENT_SEQUENCE",
    "Statement {statement} is the bank's number {sequence}, and number {before} was not imported. Import that"
    " one first.",
    "对账单 {statement} 为银行第 {sequence} 号，而第 {before} 号尚未导入。请先导入前一份。",
)
ENTRY_MISMATCH = declare(
    "ENTRY_MISMATCH",
    "Entry {entry} cannot be matched like this: {why}. Nothing was changed.",
    "流水 {entry} 不能如此匹配：{why}。未作改动。",
)
THEIR_POSITIONS_INVALID = declare(
    "THEIR_POSITIONS_INVALID",
    "{file} is no table of positions: {why}. Nothing was taken.",
    "{file} 不是头寸表：{why}。未导入任何内容。",
)
PAYMENT_FILE_INVALID = declare(
    "PAYMENT_FILE_INVALID",
    "The payment file of {date} would not conform to pain.001.001.09: {why}. No file was made.",
    "{date} 的付款文件不符合 pain.001.001.09：{why}。未生成文件。",
)
