"""Taking times in turns, and telling on which machine they were taken."""

import argparse
import contextlib
import csv
import functools
import gc
import io
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from howdeep.files.project import Project, has_other_source
from howdeep.processes.workers import cores
from howdeep.runs.examples import ensure_prepared
from howdeep.study.composition import compose_train

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
if has_other_source(Project(ROOT)):
    sys.exit(f"expected howdeep to be imported from {ROOT}/src, got another one: pip install -e {ROOT}")
BUSY = 0.5  # load a core above which times are doubtful

Row = dict[str, Any]


def in_turns(contestants: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """What each contestant measures of itself, first to last, then again from the first: `{name: [(repeats,)]}`.

    One round beforehand is not counted: it fills caches.
    """
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats + 1):
        for name, run in contestants.items():
            gc.collect()  # nobody pays for what another left behind
            value = run()
            if turn:
                measured[name].append(value)
    return measured


class Clock:
    """Seconds spent inside a few functions, see `clocked`."""

    seconds = 0.0


@contextmanager
def clocked(
    places: Sequence[tuple[Any, str]], time_of: Callable[[], float] = time.process_time
) -> Iterator[Clock]:
    """Adds up the time spent in functions, none of which calls another: (module or class, name) of each."""
    clock, own = Clock(), [(place, name, getattr(place, name)) for place, name in places]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time_of()
            try:
                return function(*args, **kwargs)
            finally:
                clock.seconds += time_of() - start

        return run

    for place, name, function in own:
        setattr(place, name, timed(function))
    try:
        yield clock
    finally:
        for place, name, function in own:
            setattr(place, name, function)


def middle(values: Sequence[float]) -> tuple[float, float]:
    """The median, and half of the range in percent of it."""
    mid = median(values)
    return mid, 100 * (max(values) - min(values)) / 2 / abs(mid) if mid else 0.0


@contextmanager
def project(data: Sequence[str] = ()) -> Iterator[Project]:
    """A project of its own below the temporary folder: conf/, params.yaml and the prepared data sets named."""
    with tempfile.TemporaryDirectory(prefix="howdeep-bench-") as folder:
        here = Project(Path(folder))
        shutil.copytree(ROOT / "conf", here.conf)
        shutil.copy(ROOT / "params.yaml", here.params)
        here.scratch.mkdir()
        for name in data:
            ensure_prepared(compose_train(here.conf, [f"data={name}"]).data, here)
        yield here


def machine() -> str:
    """The machine, the cores and threads in use, and the load, in one line."""
    model = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return (
        f"{model}, {cores()} of {os.cpu_count()} cores, one thread a process, {platform.system()}, "
        f"Python {platform.python_version()}, load {load()}"
    )


def load() -> str:
    """The load of the last 1, 5 and 15 minutes."""
    return ", ".join(f"{value:.2f}" for value in os.getloadavg())


def begin() -> str:
    """The machine as it is now, to stand above a table; warns in one line if it is busy."""
    busy = os.getloadavg()[0] / cores()
    if busy > BUSY:
        print(f"benchmarks: the load is {busy:.2f} a core, so that times are doubtful", file=sys.stderr)
    return machine()


def options(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """The command line that all benchmarks share."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument(
        "--repeats", type=int, default=repeats, help=f"rounds that count (default: {repeats})"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for tables and plots")
    return parser


def publish(name: str, rows: Sequence[Row], folder: Path, *, above: str, notes: Sequence[str] = ()) -> None:
    """Writes <name>.md and <name>.csv into a folder, and prints the former."""
    print(write(name, rows, folder, above=above, notes=notes))


def write(
    name: str,
    rows: Sequence[Row],
    folder: Path,
    *,
    above: str,
    notes: Sequence[str] = (),
    hidden: Collection[str] = (),
) -> str:
    """Writes <name>.md and <name>.csv into a folder, each aside and renamed, so that a benchmark may do it row by row.

    Args:
        hidden: columns that only the CSV has.

    Returns:
        The text below the heading of <name>.md.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = io.StringIO(newline="")
    writer = csv.writer(content)
    writer.writerow(rows[0])
    writer.writerows(row.values() for row in rows)
    titles = [title for title in rows[0] if title not in hidden]
    rules = ["---" if isinstance(rows[0][title], str) else "---:" for title in titles]
    lines = [titles, rules, *[[_text(row[title]) for title in titles] for row in rows]]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    text = f"{above}\n\n{table}" + "".join(f"\n{note}\n" for note in notes)
    for path, of in ((f"{name}.csv", content.getvalue()), (f"{name}.md", f"# {name}\n\n{text}")):
        aside = folder / f".{path}.{os.getpid()}.tmp"
        aside.write_text(of, encoding="utf-8", newline="")
        aside.replace(folder / path)
    return text


def written(name: str, folder: Path) -> list[Row]:
    """The rows of <name>.csv as they were written, none without the file; numbers are numbers again."""
    path = folder / f"{name}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{title: _value(text) for title, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _text(value: Any) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, float):
        return (
            f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
        )
    return f"{value:,}" if isinstance(value, int) else str(value)
