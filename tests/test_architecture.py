# SPDX-License-Identifier: Apache-2.0
"""Holds the tree drawn in ARCHITECTURE.md, the house's sizes and its hygiene against what is on the disk."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.parts import REPOSITORY

PACKAGE = REPOSITORY / "src" / "citycard"
DRAWING_STARTS = "src/citycard/"
INDENT = 2  # spaces for each level of the drawing
DEPTH_MAX = 2  # packages deeper than this need not be drawn
FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
SPDX = "# SPDX-License-Identifier: Apache-2.0"

# Taken apart, so that this file does not hold what it looks for.
MACHINE = re.compile(
    "|".join(
        [
            r"/wo" r"rk/(?:main|shared|\.library)",
            r"(?<![\w.}])/(?:ro" r"ot|ho" r"me)/[\w.]+/",
            r"\bpy" r"pi\.(?:org|python)",
            r"pytho" r"nhosted\.org",
            r"regis" r"try\.npmjs",
            r"deb\.debi" r"an\.org",
            r"/opt/(?:py" r"pi|wheels)",
            r"--(?:extra-)?index" r"-url|--find" r"-links|--trusted" r"-host",
        ]
    )
)


# What is checked


def drawn(text: str) -> set[str]:
    """Paths in the drawing, relative to src/citycard: folders end in a slash, modules have no suffix."""
    lines = _drawing(text)
    paths: set[str] = set()
    parents: list[str] = []
    for line in lines:
        level = (len(line) - len(line.lstrip())) // INDENT
        assert 1 <= level <= len(parents) + 1, f"indentation of {line!r}"
        del parents[level - 1 :]
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        paths |= {"".join(parents) + name for name in names}
        if names[-1].endswith("/"):
            parents.append(names[-1])
    return paths


def _drawing(text: str) -> list[str]:
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        first, *lines = block.splitlines()
        if first.split()[:1] == [DRAWING_STARTS]:
            return [line for line in lines if line.strip()]
    raise AssertionError(f"ARCHITECTURE.md has no fenced block that starts with {DRAWING_STARTS}")


def packages(root: Path) -> set[str]:
    """Folders with Python files in them, at most two levels deep, as the drawing writes them."""
    folders = {path.parent.relative_to(root) for path in root.rglob("*.py")}
    return {
        folder.as_posix() + "/"
        for folder in folders
        if 1 <= len(folder.parts) <= DEPTH_MAX and "migrations" not in folder.parts
    }


def disagreements(text: str, root: Path) -> list[str]:
    """What the drawing lacks and what it invents."""
    paths = drawn(text)
    lacking = [f"{path} is on disk and not drawn" for path in sorted(packages(root) - paths)]
    invented = [f"{path} is drawn and not on disk" for path in sorted(paths) if not _exists(root, path)]
    return lacking + invented


def _exists(root: Path, path: str) -> bool:
    if path.endswith("/"):
        return (root / path).is_dir() and any((root / path).iterdir())
    return (root / path).is_file() or (root / f"{path}.py").is_file()


def too_long(source: str, name: str) -> Iterator[str]:
    """The file if it is too long, and each function in it that is."""
    if (lines := len(source.splitlines())) > FILE_LINES_MAX:
        yield f"{name}: {lines} lines, {FILE_LINES_MAX} is the most"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{name}: {node.name} has {lines} lines, {FUNCTION_LINES_MAX} is the most"


def badly_opened(source: str, name: str) -> Iterator[str]:
    """A module opens with its licence and a sentence that says what it is for."""
    lines = source.splitlines()
    if SPDX not in lines[: 2 if source.startswith("#!") else 1]:
        yield f"{name}: the first line is not {SPDX}"
    if not ast.get_docstring(ast.parse(source)):
        yield f"{name}: no sentence that says what it is for"


def of_one_machine(text: str, name: str) -> Iterator[str]:
    """Places and hosts that exist only where somebody happened to write the file."""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := MACHINE.search(line):
            yield f"{name}:{number}: {found.group()}"


def modules() -> Iterator[tuple[str, str]]:
    """Name and source of each module under src/citycard but for migrations, which Django writes."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            yield path.relative_to(REPOSITORY).as_posix(), path.read_text(encoding="utf-8")


# The project keeps to it


def test_the_drawing_and_the_disk_agree() -> None:
    assert disagreements((REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8"), PACKAGE) == []


def test_files_and_functions_are_short() -> None:
    assert [fault for name, source in modules() for fault in too_long(source, name)] == []


def test_modules_open_with_licence_and_purpose() -> None:
    assert [fault for name, source in modules() for fault in badly_opened(source, name)] == []


def test_no_file_names_a_machine() -> None:
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout
    names = [name for name in listed.split("\0") if name and (REPOSITORY / name).is_file()]
    assert "pyproject.toml" in names
    texts = ((name, (REPOSITORY / name).read_text(encoding="utf-8", errors="ignore")) for name in names)
    assert [fault for name, text in texts for fault in of_one_machine(text, name)] == []


# The checks can fail

DRAWING = """
```
src/citycard/
  core/            pure: values, codecs and rules
    money, tlv     integer fen; and the rest
    card/          the chip's side
  cli              the command
```
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("core/__init__.py", "core/money.py", "core/tlv.py", "core/card/os.py", "cli.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_a_true_drawing_passes(tree: Path) -> None:
    assert drawn(DRAWING) == {"core/", "core/money", "core/tlv", "core/card/", "cli"}
    assert disagreements(DRAWING, tree) == []


def test_a_package_that_is_not_drawn_is_seen(tree: Path) -> None:
    (tree / "core" / "dialogue").mkdir()
    (tree / "core" / "dialogue" / "load.py").touch()
    assert disagreements(DRAWING, tree) == ["core/dialogue/ is on disk and not drawn"]


def test_a_drawn_module_that_is_gone_is_seen(tree: Path) -> None:
    (tree / "core" / "tlv.py").unlink()
    (tree / "core" / "card" / "os.py").unlink()
    assert disagreements(DRAWING, tree) == [
        "core/card/ is drawn and not on disk",
        "core/tlv is drawn and not on disk",
    ]


def test_a_long_function_and_a_long_file_are_seen() -> None:
    body = "    pass\n" * FUNCTION_LINES_MAX
    assert list(too_long(f"def f():\n{body}", "a.py")) == ["a.py: f has 71 lines, 70 is the most"]
    assert list(too_long("x = 1\n" * 601, "a.py")) == ["a.py: 601 lines, 600 is the most"]


def test_a_module_without_licence_or_purpose_is_seen() -> None:
    assert len(list(badly_opened("import os\n", "a.py"))) == 2
    assert list(badly_opened(f'#!/usr/bin/env python3\n{SPDX}\n"""What for."""\n', "a.py")) == []


@pytest.mark.parametrize(
    "text",
    [
        "--find" "-links x",
        "see /wo" "rk/main/README.md",
        "'/ro" "ot/.cache/x'",
        "open('/ho" "me/someone/x')",
        "https://py" "pi.org/simple",
        "https://files.pytho" "nhosted.org/x",
    ],
)  # fmt: skip
def test_a_place_on_one_machine_is_seen(text: str) -> None:
    assert len(list(of_one_machine(text, "a.md"))) == 1


def test_ordinary_places_pass() -> None:
    text = "../shared/data /usr/bin/chromium https://example.org/home/index.html framework/main ./citydata"
    assert list(of_one_machine(text, "a.md")) == []
