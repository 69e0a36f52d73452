# SPDX-License-Identifier: Apache-2.0
"""Schemes as files: the built-in ones, and the loader that says precisely what is wrong with one's own.

`load_scheme("city")` gives a built-in scheme, `load_scheme("my/city.toml")` one's own;
`write_default(path)` puts a copy of a built-in one where it can be changed.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Final

from citycard.blueprints.scheme import Scheme, TerminalPlan
from citycard.core.problem import Problem, declare
from citycard.services.model import TARIFF_INVALID

__all__ = ["BUILT_IN", "Scheme", "TerminalPlan", "load_scheme", "parse_scheme", "write_default"]

BUILT_IN: Final = ("city", "shenzhen")
BYTES_MAX: Final = 16 * 1024 * 1024  # a scheme is a text a person can read

SCHEME_MISSING = declare(
    "SCHEME_MISSING",
    "There is no scheme {name!r}: no such file, and the built-in schemes are {known}. "
    "Give one of these names or the path of a .toml file.",
    "找不到方案 {name!r}：没有这个文件，内置方案为 {known}。请给出内置方案名或 .toml 文件路径。",
)
SCHEME_SYNTAX = declare(
    "SCHEME_SYNTAX",
    "{path} is not a readable TOML file: {why}. Correct that place and load it again.",
    "{path} 不是可读的 TOML 文件：{why}。请修正后重新加载。",
)
SCHEME_INVALID = declare(
    "SCHEME_INVALID",
    "{path} is not a valid scheme at {where}: {why}. Correct that entry and load it again.",
    "{path} 的 {where} 处不是有效的方案：{why}。请修正后重新加载。",
)
SCHEME_EXISTS = declare(
    "SCHEME_EXISTS",
    "{path} already exists and is left as it is. Choose another name or remove it first.",
    "{path} 已存在，未作改动。请换一个文件名或先删除它。",
)


def load_scheme(name_or_path: str | Path) -> Scheme:
    """A built-in scheme by name, or the scheme in a TOML file.

    Raises the problems SCHEME_MISSING, SCHEME_SYNTAX and SCHEME_INVALID (file, key, why).
    """
    name = str(name_or_path)
    if name in BUILT_IN:
        return parse_scheme(_built_in(name), f"{name}.toml (built in)")
    path = Path(name_or_path)
    try:
        if not path.is_file():
            raise SCHEME_MISSING(name=name, known=", ".join(BUILT_IN))
        if path.stat().st_size > BYTES_MAX:
            raise SCHEME_SYNTAX(path=path, why=f"it is larger than {BYTES_MAX} bytes")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise SCHEME_SYNTAX(path=path, why=f"byte {fault.start} is not UTF-8") from None
    except OSError as fault:
        raise SCHEME_SYNTAX(path=path, why=fault.strerror or "it cannot be read") from None
    return parse_scheme(text, str(path))


def parse_scheme(text: str, path: str) -> Scheme:
    """The scheme in a TOML text; `path` is what problems call it."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise SCHEME_SYNTAX(path=path, why=str(fault)) from None
    try:
        return Scheme.from_plain(plain, path)
    except Problem as problem:
        if problem.declared is not TARIFF_INVALID:
            raise
        fields = problem.fields
        raise SCHEME_INVALID(path=path, where=fields["where"], why=fields["why"]) from None


def write_default(path: str | Path, name: str = "city") -> Path:
    """Write a built-in scheme to a new file, to be changed there; raises SCHEME_EXISTS or SCHEME_MISSING."""
    if name not in BUILT_IN:
        raise SCHEME_MISSING(name=name, known=", ".join(BUILT_IN))
    to = Path(path)
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(_built_in(name))
    except FileExistsError:
        raise SCHEME_EXISTS(path=to) from None
    return to


def _built_in(name: str) -> str:
    return resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
