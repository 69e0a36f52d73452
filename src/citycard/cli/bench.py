# SPDX-License-Identifier: Apache-2.0
"""`citycard bench`: measure, beside a yardstick, and print the ratio."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from citycard.core.problem import declare

BENCH_UNKNOWN = declare(
    "BENCH_UNKNOWN",
    "There is no benchmark called '{name}'; choose one of: {choices}.",
    "没有名为“{name}”的基准测试，可选：{choices}。",
)


BENCH_OPTION = declare(
    "BENCH_OPTION",
    "Benchmark {name} has no option {option}: options are written --taps 1000000, and are whole numbers "
    "unless they name a file or an engine.",
    "基准测试 {name} 没有选项 {option}：选项写作 --taps 1000000，除文件名和引擎名外取值为整数。",
)


def bench(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Which benchmark; none lists them.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Run one benchmark and print its figure, the yardstick's, and the ratio."""
    from citycard.lab.bench import BENCHMARKS

    if name is None:
        for known in BENCHMARKS.values():
            options = " ".join(f"--{option}" for option in (*known.options, *known.words)).replace("_", "-")
            typer.echo(f"{known.name:10} {known.what}  {options and f'({options})'}")
        return
    if name not in BENCHMARKS:
        raise BENCH_UNKNOWN(name=name, choices=", ".join(BENCHMARKS))
    result = BENCHMARKS[name].run(**_options(name, context.args))
    if as_json:
        typer.echo(json.dumps(result.as_json(), ensure_ascii=False))
        return
    typer.echo(f"{result.name}: {result.what}")
    typer.echo(f"  figure     {result.figure:,.4g} {result.unit}")
    typer.echo(f"  yardstick  {result.yardstick:,.4g} {result.unit}  ({result.yardstick_what})")
    typer.echo(f"  ratio      {result.ratio:.2f}  ({result.ratio_means})")
    for key, value in result.details.items():
        typer.echo(f"  {key:10} {value}")
    typer.echo(f"  took       {result.seconds:.1f} s")


def _options(name: str, given: list[str]) -> dict[str, int | str]:
    """`--taps 1000` as {"taps": 1000}: which options there are is the benchmark's own affair."""
    from citycard.lab.bench import BENCHMARKS

    known = BENCHMARKS[name]
    found: dict[str, int | str] = {}
    words = iter(given)
    for word in words:
        option, _, value = word.partition("=")
        label = option.removeprefix("--").replace("-", "_")
        value = value or next(words, "")
        number = label in known.options and value.isdecimal()
        if not option.startswith("--") or not (number or (label in known.words and value)):
            raise BENCH_OPTION(name=name, option=word)
        found[label] = int(value) if number else value
    return found


def register(app: typer.Typer) -> None:
    """Add the command."""
    loose = {"allow_extra_args": True, "ignore_unknown_options": True}
    title = "Measure, beside a yardstick; no NAME lists the benchmarks."
    app.command("bench", context_settings=loose, help=title)(bench)
