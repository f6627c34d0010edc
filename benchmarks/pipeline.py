"""What a run, a job, a command and a whole study cost beyond training: python -m benchmarks.pipeline

Wall time, since most of it is waiting for the disk and for processes. The parts, each of which runs alone with --only:

run        a run in a warm worker, from its config to its record and its end in MLflow, less its training
workers    the runs a second of two one-thread workers over those of one, while all are busy
multirun   a job of `howdeep train -m` in a process that is already warm, less its training
commands   `howdeep --help`, and `howdeep ui` until it has answered with its page and with the experiments
study      `dvc repro` of a study in a clone: the share that is no training, trial or evaluation; then one without work

Training is the function `howdeep.training.run.train`. In a study it is the `train_seconds` of provenance, which also
hold the opening of the run in MLflow, over the number of workers; evaluation is its stage but for the imports.
"""

import contextlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.measure import ROOT, Row, clocked, in_turns, middle
from howdeep.files.project import Project
from howdeep.processes.garbage import collect_seldom
from howdeep.processes.workers import cores, run_all
from howdeep.records.cell import Cell
from howdeep.runs import run as runs
from howdeep.runs.run import Job, execute, job_of
from howdeep.study import params
from howdeep.study.composition import Compositions
from howdeep.tracking.open_runs import TrackedRun
from howdeep.tracking.store import Store

ENTRY = "digits-mlp"
WITHIN_A_RUN = {  # where a run's time goes that is no training; nothing here calls another
    "opening it in MLflow": (Store, "start"),
    "its record and weights": (runs, "write_record"),
    "its end in MLflow": (TrackedRun, "end"),
}
RUNS_OF_WORKERS = 3  # times as many as `--runs`, for a quotient of two measured times
HOWDEEP = (sys.executable, "-m", "howdeep")


def line(what: str, values: Sequence[float], unit: str, aim: str = "") -> Row:
    """A row of the table: the median, and half the range in percent of it."""
    mid, spread = middle(values)
    return {"what": what, "median": mid, "unit": unit, "aim": aim, "spread %": spread, "times": len(values)}


@dataclass(frozen=True)
class Bench:
    """A project of its own with a store, and how many runs and repeats to take."""

    project: Project
    n_runs: int
    repeats: int
    params: Path

    def jobs(self, seeds: range | None = None) -> list[Job]:
        """Runs that differ in their seed, in cells of as many as the study has, each composed once as a stage does."""
        plan, compositions = (
            params.read(self.project.params),
            Compositions(self.project.conf, self.project.compositions),
        )
        found: list[Job] = []
        for seed in seeds or range(self.n_runs):
            entry = plan.entry(ENTRY)
            if len(found) % len(entry.seeds) == 0:
                cell = Cell(entry.data, entry.model, depth=1)
                cfg = compositions.of(plan.overrides(entry, cell))
            own = cfg.copy()
            own.seed = seed
            folder = self.project.runs / ENTRY / f"depth=1-seed={seed}"
            found.append(job_of(own, folder, self.project, entry=ENTRY))
        return found

    def store(self) -> Store:
        store = Store(f"sqlite:///{self.project.root}/mlflow.db", "benchmarks", self.project.root)
        _ = store.experiment_id
        return store


def run(bench: Bench) -> list[Row]:
    """Runs in one warm worker; the first of them is not counted."""
    store = bench.store()
    parent = store.open_parent(ENTRY, {})
    bench.jobs()  # what is read and imported once
    clock = time.perf_counter()
    jobs = bench.jobs()
    planning = 1000 * (time.perf_counter() - clock) / len(jobs)

    def work(job: Job) -> dict[str, float]:
        with contextlib.ExitStack() as clocks:
            inside = {"training": (runs, "train"), **WITHIN_A_RUN}
            spent = {
                name: clocks.enter_context(clocked([place], time.perf_counter))
                for name, place in inside.items()
            }
            clock = time.perf_counter()
            execute(job, bench.project, store)
            whole = time.perf_counter() - clock
        parts = {name: 1000 * of.seconds for name, of in spent.items()}
        parts["its config and key"] = planning
        beyond = 1000 * whole + planning - parts.pop("training")
        return {"": beyond, **parts, "the rest": beyond - sum(parts.values())}

    _, *found = [parts for _, parts in run_all(work, [replace(job, parent=parent) for job in jobs], 1)]
    assert parent is not None
    store.close(parent, "FINISHED")
    rows = [
        line("a run in a warm worker, beyond its training", [parts[""] for parts in found], "ms", "<= 40")
    ]
    named = [name for name in found[0] if name]
    return [*rows, *(line(f"- {name}", [parts[name] for parts in found], "ms") for name in named)]


def workers(bench: Bench) -> list[Row]:
    """The runs a second of two workers over those of one, in turns.

    Each turn has seeds of its own, since a run replaces an older one that has its key.
    """
    if cores() < 2:
        print("benchmarks: one core only, so that two workers are not compared with one", file=sys.stderr)
        return []
    store, n = bench.store(), RUNS_OF_WORKERS * bench.n_runs
    turns = itertools.count()

    def by(n_workers: int) -> float:
        seeds = range(n * (turn := next(turns)), n * (turn + 1))
        work = run_all(lambda job: execute(job, bench.project, store), bench.jobs(seeds), n_workers)
        return rate([time.perf_counter() for _ in work], n_workers)

    taken = in_turns({"one": lambda: by(1), "two": lambda: by(2)}, bench.repeats)
    gains = [two / one for one, two in zip(taken["one"], taken["two"], strict=True)]
    return [line("two workers over one, runs a second", gains, "x", ">= 1.9")]


def rate(ended: Sequence[float], n_workers: int) -> float:
    """Runs a second while all workers are busy: without the first run of each, which waits for a fork, and its last.

    Args:
        ended: when each run ended, in order.
    """
    return (len(ended) - 2 * n_workers) / (ended[-n_workers - 1] - ended[n_workers - 1])


def multirun(bench: Bench) -> list[Row]:
    """Jobs of one Hydra multirun in this process; whatever Hydra does once is shared among them."""
    from howdeep.runs.job import main

    collect_seldom()
    seeds = ",".join(str(1000 + seed) for seed in range(bench.n_runs))
    taken = []
    with contextlib.chdir(bench.project.root):
        for _ in range(bench.repeats + 1):
            with (
                contextlib.redirect_stdout(io.StringIO()),
                clocked([(runs, "train")], time.perf_counter) as spent,
            ):
                clock = time.perf_counter()
                main(["-m", "trainer.max_epochs=20", f"seed={seeds}"])
                taken.append(1000 * (time.perf_counter() - clock - spent.seconds) / bench.n_runs)
    return [line("a Hydra multirun job, beyond its training", taken[1:], "ms", "<= 120")]


def commands(bench: Bench) -> list[Row]:
    help_ = in_turns({"": lambda: seconds_of([*HOWDEEP, "--help"], bench.project.root)}, bench.repeats)[""]
    bench.store()  # a UI without a store would first make one
    ui = in_turns({"": lambda: seconds_to_ui(bench.project.root)}, bench.repeats)[""]
    return [line("howdeep --help", help_, "s", "< 1"), line("howdeep ui, until it answers", ui, "s", "< 6")]


def seconds_of(command: Sequence[str], folder: Path) -> float:
    clock = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
    return time.perf_counter() - clock


def seconds_to_ui(folder: Path, port: int = 5399) -> float:
    """Until the page and the list of experiments have been read."""
    clock = time.perf_counter()
    server = subprocess.Popen(
        [*HOWDEEP, "ui", "--port", str(port)], cwd=folder, env=environment(), stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for path, question in (
            ("/", None),
            ("/ajax-api/2.0/mlflow/experiments/search", b'{"max_results": 9}'),
        ):
            asked = urllib.request.Request(address + path, question, {"Content-Type": "application/json"})
            while True:
                try:
                    urllib.request.urlopen(asked, timeout=60).read()
                    break
                except urllib.error.HTTPError:
                    raise
                except OSError:
                    if server.poll() is not None:
                        raise RuntimeError(f"howdeep ui has ended, exit code {server.returncode}") from None
                    time.sleep(0.01)
        return time.perf_counter() - clock
    finally:
        server.terminate()
        server.wait()


def reproduce(bench: Bench) -> list[Row]:
    """The pipeline of params.yaml, from nothing, in a clone of the working tree; then with nothing to do."""
    with tempfile.TemporaryDirectory(prefix="howdeep-bench-") as place:
        folder = Path(place) / "clone"
        clone(folder, bench.params)
        stages = stages_of(folder)
        nothing = [seconds_of(["dvc", "repro"], folder) for _ in range(bench.repeats)]
        traces = [json.loads(path.read_text()) for path in folder.glob("provenance/*.json")]
    wall = sum(stages.values())
    training = sum(trace["train_seconds"] for trace in traces) / cores()
    evaluation = stages["evaluate"] + stages["inspect"]
    trains = sum(seconds for name, seconds in stages.items() if name.startswith("train@"))
    tunes = sum(seconds for name, seconds in stages.items() if name.startswith("tune@"))
    where = {
        "training": training,
        "tune stages": tunes,
        "evaluation": evaluation,
        "train stages: planning, tracking, models, waiting": trains - training,
        "pull, prepare and plan": sum(
            seconds for name, seconds in stages.items() if name.startswith(("pull@", "prepare@", "plan"))
        ),
        "compare and report": stages["compare"],
        "DVC before the first stage": stages[""],
    }
    share = 100 * (wall - training - tunes - evaluation) / wall
    told = f"dvc repro of {bench.params.name}, {len(traces)} runs"
    return [
        line(f"{told}: neither training, tuning nor evaluation", [share], "%", "<= 10"),
        *(line(f"- {name}", [100 * seconds / wall], "%") for name, seconds in where.items()),
        line("dvc repro with nothing to do", nothing, "s", "about 1"),
    ]


def clone(folder: Path, params: Path) -> None:
    """The files of the working tree that git has or would take, without results, in a repository of their own."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in names:
        if (ROOT / name).is_file() and name != "dvc.lock" and not name.startswith("results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    shutil.copy(params, folder / "params.yaml")
    author = ["-c", "user.name=benchmarks", "-c", "user.email=benchmarks@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "benchmark"]):
        subprocess.run(["git", *command], cwd=folder, check=True, env=environment())


def stages_of(folder: Path) -> dict[str, float]:
    """Runs `dvc repro`; seconds of each stage, with what DVC does around it; '' is before the first."""
    clock, name = time.perf_counter(), ""
    seconds: dict[str, float] = {}
    process = subprocess.Popen(
        ["dvc", "repro"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for said in process.stdout:
        if said.startswith("Running stage '"):
            now = time.perf_counter()
            seconds[name] = seconds.get(name, 0.0) + now - clock
            clock, name = now, said.split("'")[1]
    _, err = process.communicate()
    seconds[name] = time.perf_counter() - clock
    if process.returncode:
        raise RuntimeError(f"dvc repro failed in stage {name}:\n{err[-2000:]}")
    return seconds


def environment() -> dict[str, str]:
    """As a person's shell would have it, with the environment of this Python activated."""
    own = {
        name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "MLFLOW_"))
    }
    return {**own, "PATH": f"{Path(sys.executable).parent}:{own['PATH']}", "PYTHONUNBUFFERED": "1"}


PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "run": run,
    "workers": workers,
    "multirun": multirun,
    "commands": commands,
    "study": reproduce,
}


def plot(rows: Sequence[Row], path: Path) -> None:
    """Each figure that has an aim over that aim: the shorter the better, but for what is to be large."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    aimed = [(row, float(row["aim"].split()[-1])) for row in rows if row["aim"]][::-1]
    figure = Figure(figsize=(8, 0.6 + 0.4 * len(aimed)), layout="constrained")
    FigureCanvasSVG(figure)
    axis = figure.subplots()
    names = [f"{row['what']}\n(aim {row['aim']} {row['unit']})" for row, _ in aimed]
    axis.barh(names, [row["median"] / aim for row, aim in aimed])
    axis.axvline(1, color="black", linestyle=":")
    axis.set_xlabel("measured over aim")
    axis.tick_params(labelsize=8)
    figure.savefig(path, format="svg")


@contextlib.contextmanager
def bench_of(options: Any) -> Iterator[Bench]:
    with measure.project(["digits"]) as here:
        yield Bench(here, options.runs, options.repeats, options.study)


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = measure.options(__doc__, repeats=3)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument(
        "--runs", type=int, default=20, help="runs of a worker and of a multirun (default: 20)"
    )
    parser.add_argument("--study", type=Path, default=ROOT / "params.yaml", help="params.yaml of the study")
    options = parser.parse_args(argv)
    above = measure.begin()
    rows = []
    for part in options.only:
        with bench_of(options) as bench:
            rows += PARTS[part](bench)
        print(f"{part}: {rows[-1]['what']}" if rows else part, file=sys.stderr)
    notes = [f"Wall time; the spread is half the range in percent. Afterwards: load {measure.load()}."]
    measure.publish("pipeline", rows, options.results, above=above, notes=notes)
    plot(rows, options.results / "pipeline.svg")
    return rows


if __name__ == "__main__":
    main()
