"""The table of docs/export.md: `python -m tests.export.table` tries all and writes it."""

import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import onnx as standard

from howdeep.errors import UserError
from howdeep.export import exported_program, onnx
from howdeep.export.inputs import Inputs
from tests.choices import MODELS
from tests.export.cases import METADATA, Case, data_of, options_of, values

DOCS = Path(__file__).parents[2] / "docs/export.md"
HEAD = "| architecture | option | values | ONNX | torch | length |\n| --- | --- | --- | --- | --- | --- |\n"
READS = "data"
ROWS = [(model, option) for model in MODELS for option in (READS, *options_of(model))]
Tried = tuple[
    str, str, str
]  # whether there is an ONNX file, and a program of PyTorch; the length of a sequence


def row(model: str, option: str) -> str:
    """One line of the table, by trying each value of an option, or each kind of data."""
    if option == READS:
        cases: list[tuple[Any, Case]] = [(data, Case(model, data)) for data in data_of(model)]
    else:
        cases = list(values(model, option))
    names = ["null" if value is None else str(value).lower() for value, _ in cases]
    results = zip(*(tried(case) for _, case in cases), strict=True)
    cells = (model, option, "; ".join(names), *(_summary(names, result) for result in results))
    return f"| {' | '.join(cells)} |\n"


def written() -> dict[tuple[str, str], str]:
    """The lines of docs/export.md by architecture and option."""
    _, head, table = DOCS.read_text(encoding="utf-8").partition(HEAD)
    lines = re.match(r"(\|.*\n)*", table)
    assert head, "the table has another head"
    assert lines
    return {_key(line): line for line in lines[0].splitlines(keepends=True)}


@cache
def tried(case: Case) -> Tried:
    onnx_file, in_onnx = _outcome(lambda: onnx.exported(case.net(), **case.reads, metadata=METADATA))
    _, in_torch = _outcome(lambda: exported_program.exported(case.net(), **case.reads, metadata=METADATA))
    return in_onnx, in_torch, "no sequence" if case.data == "images" else _length(onnx_file, case)


def _outcome(export: Callable[[], bytes]) -> tuple[bytes, str]:
    try:
        return export(), "yes"
    except UserError as error:
        return b"", f"no: {error}"


def _length(file: bytes, case: Case) -> str:
    """Which sequences an ONNX file reads; "" if there is none."""
    if not file:
        return ""
    shape = standard.load_from_string(file).graph.input[0].type.tensor_type.shape
    if not shape.dim[1].dim_param:
        return "fixed"
    here, *rest = case.reads["in_shape"]
    longer = Inputs((here, *rest), case.reads["dtype"]).draw(1, here + 1)
    try:
        onnx.load(file).net(longer)
    except Exception:  # ONNX Runtime's, of no public class
        return f"at most {here}"
    return "any"


def _summary(names: Iterable[str], results: tuple[str, ...]) -> str:
    if len(set(results)) == 1:
        return results[0]
    return "; ".join(f"{name}: {result}" for name, result in zip(names, results, strict=True))


def _key(line: str) -> tuple[str, str]:
    _, model, option, *_ = map(str.strip, line.split("|"))
    return model, option


def main() -> None:
    before, head, after = DOCS.read_text(encoding="utf-8").partition(HEAD)
    rest = re.sub(r"\A(\|.*\n)*", "", after)
    lines = []
    for model, option in ROWS:
        lines.append(row(model, option))
        sys.stdout.write(lines[-1])
    DOCS.write_text(before + head + "".join(lines) + rest, encoding="utf-8")


if __name__ == "__main__":
    main()
