# SPDX-License-Identifier: Apache-2.0
"""What a replay tells people when a file cannot be used at all; bad rows are counted instead."""

from __future__ import annotations

from typing import Final

from citycard.core.problem import declare

REPLAY_FILE_MISSING: Final = declare(
    "REPLAY_FILE_MISSING",
    "There is no file {path}. Give the path of a .csv, .csv.gz or .csv.zst file.",
    "找不到文件 {path}。请给出 .csv、.csv.gz 或 .csv.zst 文件的路径。",
)
REPLAY_FILE_UNREADABLE: Final = declare(
    "REPLAY_FILE_UNREADABLE",
    "{path} cannot be read past byte {offset} of the text: {why}. Fetch the file again.",
    "{path} 在解压后第 {offset} 字节之后无法读取：{why}。请重新获取该文件。",
)
REPLAY_EMPTY: Final = declare(
    "REPLAY_EMPTY",
    "{path} is empty: not even a header line. Fetch the file again.",
    "{path} 是空文件，连表头都没有。请重新获取该文件。",
)
REPLAY_NOT_LINES: Final = declare(
    "REPLAY_NOT_LINES",
    "{path} is no CSV: there is no end of line within {limit} bytes. "
    "Give a text file of comma-separated lines.",
    "{path} 不是 CSV 文件：{limit} 字节内没有换行。请给出逗号分隔的文本文件。",
)
REPLAY_ENCODING: Final = declare(
    "REPLAY_ENCODING",
    "{path} is not in {encoding}{seems}. Convert it, for example with: iconv -f {other} -t {encoding}.",
    "{path} 的编码不是 {encoding}{seems}。请先转换编码，例如：iconv -f {other} -t {encoding}。",
)
REPLAY_COLUMNS: Final = declare(
    "REPLAY_COLUMNS",
    "{path} lacks the columns {missing} that the format {format} needs; its header is: {found}. "
    "Check that the file is of this format and has its header line.",
    "{path} 缺少格式 {format} 所需的列 {missing}；现有表头：{found}。请检查文件格式和表头。",
)
REPLAY_TARIFF: Final = declare(
    "REPLAY_TARIFF",
    "Scheme {scheme} cannot re-rate this file: {why}. Correct the scheme and run again.",
    "方案 {scheme} 无法对该文件重新计价：{why}。请修正方案后重试。",
)
REPLAY_STORAGE: Final = declare(
    "REPLAY_STORAGE",
    "The replay cannot go on in {folder}: {why}. Free some space there or choose another folder.",
    "无法在 {folder} 继续处理：{why}。请腾出空间或换一个文件夹。",
)
