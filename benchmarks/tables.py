"""A large table of one's own, beside pandas.read_csv of the same file: python -m benchmarks.tables

A CSV is made, of 30 columns: numbers, of some of which a twentieth is missing, categories, dates, yes and no, a code
and a class. Then each of these, in a process of its own that says how long it took and how much memory it had at most:

init      `howdeep init`: columns are guessed from a sample of the rows, the file is copied into the project
prepare   `howdeep prepare`: rows are checked, split, standardised and written
pandas    `pandas.read_csv`, in turns with prepare
epoch     the training of one epoch from the memory map, with its validation, of a network as `init` proposes it

Of an epoch, peak memory has pages of the mapped file in it, which the system takes back when it needs them; its own
memory is told beside it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import measure
from benchmarks.measure import ROOT, Row
from howdeep.records.provenance import peak_memory_mb

ROWS, CHUNK = 10_000_000, 200_000
NUMBERS, GAPS, CATEGORIES, DATES, FLAGS = 18, 4, 6, 2, 2  # columns; with a code and a class they are 30
CLASSES = ("low", "middle", "high")
NAME, DEPTH = "large", 2
AIM_MB, AIM_TIMES = 2000, 10
STATUS = Path("/proc/self/status")
STEPS = ("init", "prepare", "pandas", "epoch")


def chunk(rows: int, first: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Some rows of the table, whose class depends on its first numbers, categories and dates."""
    numbers = random.standard_normal((NUMBERS, rows)) * 10.0 ** (np.arange(NUMBERS) % 6 - 2)[:, None]
    numbers = np.round(numbers, 5)
    words = random.integers(0, np.arange(3, 3 + 5 * CATEGORIES, 5)[:, None], size=(CATEGORIES, rows))
    days = random.integers(0, 7000, size=(DATES, rows)).astype("datetime64[D]") + 11_000
    flags = random.integers(0, 2, size=(FLAGS, rows))
    told = 100 * numbers[0] + 10 * numbers[1] * (words[0] - 1) + flags[0] + random.standard_normal(rows)
    columns: dict[str, np.ndarray] = {}
    for place in range(NUMBERS):
        texts = numbers[place].astype(object)
        if place < GAPS:
            texts[random.random(rows) < 0.05] = None
        columns[f"number_{place}"] = texts
    columns |= {f"word_{place}": np.char.add("w", words[place].astype(str)) for place in range(CATEGORIES)}
    columns |= {f"day_{place}": days[place].astype(str) for place in range(DATES)}
    columns |= {f"flag_{place}": np.array(["no", "yes"])[flags[place]] for place in range(FLAGS)}
    columns["code"] = np.char.add("c", np.arange(first, first + rows).astype(str))
    columns["class"] = np.array(CLASSES)[np.digitize(told, [-1.0, 1.5])]
    return columns


def make(path: Path, rows: int) -> None:
    """Writes the table."""
    import pyarrow
    from pyarrow import csv

    random = np.random.default_rng(0)
    writer = None
    for first in range(0, rows, CHUNK):
        table = pyarrow.table(chunk(min(CHUNK, rows - first), first, random))
        if writer is None:
            writer = csv.CSVWriter(path, table.schema, write_options=csv.WriteOptions(quoting_style="needed"))
        writer.write_table(table)
    assert writer is not None
    writer.close()


def init(csv: Path, folder: Path) -> None:
    from howdeep.stages.init import init
    from howdeep.stages.proposals import Asked

    init(Asked(folder, csv, name=NAME))


def pandas(csv: Path, folder: Path) -> None:
    import pandas as pd

    assert len(pd.read_csv(csv).columns) == NUMBERS + CATEGORIES + DATES + FLAGS + 2


def prepare(csv: Path, folder: Path) -> None:
    from howdeep.files.project import Project
    from howdeep.stages.prepare import prepare

    prepare([f"data={NAME}"], Project(folder))


def epoch(csv: Path, folder: Path) -> dict[str, float]:
    """The training of an epoch; how many examples it had, and the loss that it came to."""
    from howdeep.files.project import Project
    from howdeep.records.cell import Cell
    from howdeep.runs.examples import load_split
    from howdeep.study import params
    from howdeep.study.composition import compose_train
    from howdeep.training.run import train

    here = Project(folder)
    plan = params.read(here.params)
    entry = next(iter(plan.entries.values()))
    cfg = compose_train(here.conf, plan.overrides(entry, Cell(entry.data, entry.model, DEPTH)))
    cfg.trainer.max_epochs = 1
    split = load_split(cfg, here)
    start = time.perf_counter()
    outcome = train(cfg, split, resume_point=folder / "bench.ckpt", identity={"key": "bench"})
    last = outcome.history.epochs[-1]
    told = {name: last[f"val/{name}"] for name in ("loss", "accuracy")}
    return {"examples": len(split.train[0]), "training": time.perf_counter() - start, **told}


WORK: dict[str, Callable[[Path, Path], dict[str, float] | None]] = {
    "init": init, "pandas": pandas, "prepare": prepare, "epoch": epoch,
}  # fmt: skip


def work(step: str, csv: Path, folder: Path) -> None:
    """Does one step in this process and prints what it took, as JSON in the last line."""
    own = Private()
    start = time.perf_counter()
    with own:
        more = WORK[step](csv, folder)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak MB": memory("VmHWM"), "own MB": own.most, **(more or {})}))


def memory(kind: str) -> float:
    """Memory of this process in MB, of a kind that Linux tells; `getrusage` says at least that of the parent."""
    if not STATUS.exists():
        return peak_memory_mb()
    status = STATUS.read_text()
    kb = next(line.split()[1] for line in status.splitlines() if line.startswith(kind))
    return int(kb) * 1024 / 1e6


class Private(threading.Thread):
    """The most memory that this process had to itself, in MB, looked at ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self._ended = 0.0, threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.1):
            self.most = max(self.most, memory("RssAnon"))

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def measured(step: str, csv: Path, folder: Path) -> dict[str, float]:
    """What a step took in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.tables", "--work", step, str(csv), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"benchmarks: {step} failed: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def steps(repeats: int) -> Iterator[str]:
    """`init`, then what is compared in turns, then `epoch`."""
    yield "init"
    for _ in range(repeats):
        yield from ("prepare", "pandas")
    yield "epoch"


def rows_of(taken: Mapping[str, Sequence[Mapping[str, float]]], rows: int) -> list[Row]:
    """The table: the median of each step, and the most memory that it ever had."""
    found = []
    for step in STEPS:
        of = taken[step]
        seconds = median(one["seconds"] for one in of)
        n = of[0].get("examples", rows)
        found.append({
            "step": step, "rows": int(n), "seconds": seconds, "rows a second": n / seconds,
            "peak MB": max(one["peak MB"] for one in of), "own MB": max(one["own MB"] for one in of),
        })  # fmt: skip
    return found


def main() -> None:
    parser = measure.options(__doc__, repeats=1)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"of the table (default: {ROWS:,})")
    parser.add_argument("--folder", type=Path, help="where the table is made (default: a temporary folder)")
    parser.add_argument("--work", nargs=3, metavar=("STEP", "CSV", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work[0], *map(Path, options.work[1:]))
        return
    above = measure.begin()
    with tempfile.TemporaryDirectory(prefix="howdeep-bench-", dir=options.folder) as folder:
        csv, here = Path(folder, "large.csv"), Path(folder, "project")
        make(csv, options.rows)
        taken: dict[str, list[dict[str, float]]] = {step: [] for step in STEPS}
        for step in steps(options.repeats):
            taken[step].append(measured(step, csv, here))
            if step == "init":
                pull(here)
        size = csv.stat().st_size / 1e9
    found = rows_of(taken, options.rows)
    of = {row["step"]: row for row in found}
    last = taken["epoch"][0]
    notes = [
        f"A CSV of {size:.2f} GB, prepared in {of['prepare']['seconds'] / of['pandas']['seconds']:.1f} times the time "
        f"of pandas. Aim: less than {AIM_MB} MB, and at most {AIM_TIMES} times the time.",
        f"The epoch itself took {last['training']:.0f} s, with a validation loss of {last['loss']:.3f} and "
        f"{last['accuracy']:.1%} of the answers right; the rest is reading checksums and drawing the split.",
    ]
    measure.publish("tables", found, options.results, above=above, notes=notes)


def pull(folder: Path) -> None:
    from howdeep.files.project import Project
    from howdeep.stages.pull import pull

    pull([f"data={NAME}"], Project(folder))


if __name__ == "__main__":
    main()
