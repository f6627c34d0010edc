"""What it costs to send runs to other machines: python -m benchmarks.cluster

Scheduler and nodes are real processes of this machine, which speak over its network. The parts, each alone with --only:

study      entries of the default study, trained by two local workers and by two nodes of one thread, in turns: the
           quotient of their times, as `howdeep train-entry` tells them
whole      the study of params.yaml from its plan to what is seen inside, once each way, stage by stage in turns, each
           in a warm process as `dvc repro` has it: 40 minutes, and only where it is asked for
overhead   jobs that do nothing, one after the other by one node: milliseconds each
scale      so many jobs that return a small record, without training: jobs a second, and the memory of the coordinator
"""

import functools
import gc
import importlib
import multiprocessing
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml

from benchmarks import measure
from benchmarks.measure import Row, in_turns, middle
from howdeep import cli, warm
from howdeep.cluster.address import ADDRESS, Address
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import run_all
from howdeep.files.project import Project
from howdeep.processes.garbage import collect_seldom

ENTRIES = ("digits-mlp", "digits-cnn", "sunspots-lstm")
DATA = ("digits", "sunspots")
SEEDS = 3
HOWDEEP = (sys.executable, "-m", "howdeep")
TOLD = re.compile(r"\d+ (?:runs|of \d+ tunings) in ([\d.]+) s")


class Job(NamedTuple):
    number: int


def nothing(job: Job) -> dict[str, object]:
    """As large an answer as a record."""
    return {"number": job.number, "epochs": [{"epoch": epoch, "val/loss": epoch / 7} for epoch in range(20)]}


@contextmanager
def nodes(count: int) -> Iterator[Address]:
    """A scheduler with nodes of one thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(measure.ROOT / "src"), str(measure.ROOT)])}
    command = [*HOWDEEP, "cluster", "up", "--local", str(count), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stderr is not None
        for _ in range(count):
            while "runs at a time" not in (line := process.stderr.readline()):
                assert line, "the cluster has ended"
        yield Address(f"tcp://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def study(address: Address, repeats: int, chosen: Sequence[str]) -> Iterator[Row]:
    with measure.project(DATA) as here:
        content = yaml.safe_load(here.params.read_text())
        entries = {name: content["entries"][name] for name in chosen}
        content |= {"data": list(DATA), "seeds": list(range(SEEDS)), "tune": None}
        content["entries"] = {
            name: {k: v for k, v in of.items() if k != "tune"} for name, of in entries.items()
        }
        here.params.write_text(yaml.safe_dump(content))

        def train(name: str, env: dict[str, str]) -> float:
            shutil.rmtree(here.runs, ignore_errors=True)
            done = subprocess.run(
                [*HOWDEEP, "train-entry", name], cwd=here.root, env=os.environ | env, capture_output=True, text=True,
                check=True,
            )  # fmt: skip
            found = TOLD.search(done.stderr)
            assert found is not None, done.stderr
            return float(found[1])

        subprocess.run([*HOWDEEP, "plan"], cwd=here.root, check=True, capture_output=True)
        for name in chosen:
            subprocess.run([*HOWDEEP, "tune-entry", name], cwd=here.root, check=True, capture_output=True)
            times = in_turns(
                {
                    "two local workers": functools.partial(train, name, {ADDRESS: ""}),
                    "two nodes": functools.partial(train, name, {ADDRESS: address.url}),
                },
                repeats,
            )
            quotients = [there / at_home for at_home, there in zip(*times.values(), strict=True)]
            mid, spread = middle(quotients)
            yield {"what": f"{name} by two nodes, over two local workers", "median": mid, "unit": "x", "aim": "<= 1.1",
                   "spread %": spread, "times": repeats}  # fmt: skip


def stages(entries: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """What `dvc repro` runs of a study, but for its data and its tables."""
    yield ("plan",)
    for name in entries:
        yield "tune-entry", name
        yield "train-entry", name
    yield from (("evaluate",), ("inspect",))


def seconds_of(words: Sequence[str], here: Project, env: dict[str, str]) -> float:
    """What a stage takes, in a fork of this process, which has imported what the warm process of a `dvc repro` has."""

    def stage() -> None:
        os.environ.update(env)
        os.chdir(here.root)
        log = os.open("stage.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.exit(cli.main(list(words)))

    fork = multiprocessing.get_context("fork").Process(target=stage)
    start = time.perf_counter()
    fork.start()
    fork.join()
    seconds = time.perf_counter() - start
    assert fork.exitcode == 0, (here.root / "stage.log").read_text()
    return seconds


def whole(address: Address, at_home: Project, there: Project) -> Iterator[Row]:
    """
    Args:
        at_home, there: projects with the same study, of which nothing is done.
    """
    for name in (*warm.IMPORTS["torch"], "distributed"):
        importlib.import_module(name)
    collect_seldom()
    gc.freeze()
    ways = {"two local workers": (at_home, ""), "two nodes": (there, address.url)}
    spent = dict.fromkeys(ways, 0.0)
    entries = yaml.safe_load(at_home.params.read_text())["entries"]
    for turn, words in enumerate(stages(entries)):
        for way in sorted(ways, reverse=bool(turn % 2)):
            here, url = ways[way]
            spent[way] += (seconds := seconds_of(words, here, {ADDRESS: url}))
            print(f"{' '.join(words)}, {way}: {seconds:.1f} s", file=sys.stderr)
    for way, seconds in spent.items():
        yield {"what": f"the study of params.yaml by {way}", "median": seconds, "unit": "s", "aim": "",
               "spread %": None, "times": 1}  # fmt: skip
    yield {"what": "- the quotient", "median": spent["two nodes"] / spent["two local workers"], "unit": "x",
           "aim": "<= 1.1", "spread %": None, "times": 1}  # fmt: skip


def jobs_a_second(address: Address, count: int, root: Path) -> tuple[float, float]:
    """Jobs a second, and by how many MiB the peak of this process has grown."""
    from benchmarks import cluster as known  # by a name that nodes can import, which `__main__` is not

    elsewhere = Elsewhere(address, root, lambda job: [])
    memory = psutil.Process().memory_info().rss
    start, done, peak = time.perf_counter(), 0, memory
    for _, result in run_all(known.nothing, map(known.Job, range(count)), 2, elsewhere):
        done += result["number"] >= 0
        if done % 500 == 0:
            peak = max(peak, psutil.Process().memory_info().rss)
    assert done == count
    return count / (time.perf_counter() - start), (peak - memory) / 2**20


def simulated(address: Address, count: int) -> Iterator[Row]:
    with measure.project() as here:
        jobs_a_second(address, 20, here.root)
        rate, memory = jobs_a_second(address, count, here.root)
    yield {"what": f"{count:,} jobs without training", "median": rate, "unit": "jobs/s", "aim": "", "spread %": None,
           "times": 1}  # fmt: skip
    yield {"what": "- memory that the coordinator has gained meanwhile", "median": memory, "unit": "MiB", "aim": "",
           "spread %": None, "times": 1}  # fmt: skip


def overhead(address: Address, repeats: int) -> Iterator[Row]:
    with measure.project() as here:
        rates = [jobs_a_second(address, 200, here.root)[0] for _ in range(repeats + 1)][1:]
    mid, spread = middle([1000 / rate for rate in rates])
    yield {"what": "a job that does nothing, by one node", "median": mid, "unit": "ms", "aim": "", "spread %": spread,
           "times": repeats}  # fmt: skip


PARTS = ("overhead", "scale", "study")
LONG = "whole"


def main(argv: Sequence[str] | None = None) -> None:
    parser = measure.options(__doc__, repeats=5)
    parser.add_argument("--jobs", type=int, default=20_000, help="of the simulated study (default: 20000)")
    parser.add_argument(
        "--entries", nargs="+", default=ENTRIES, help=f"of the study (default: {' '.join(ENTRIES)})"
    )
    parser.add_argument(
        "--only", nargs="+", choices=[*PARTS, LONG], default=PARTS, help=f"default: all but {LONG}"
    )
    args = parser.parse_args(argv)
    above, rows = measure.begin(), []
    if "overhead" in args.only:
        with nodes(1) as address:
            rows += overhead(address, args.repeats)
    with nodes(2) as address:
        if "scale" in args.only:
            rows += simulated(address, args.jobs)
        if "study" in args.only:
            rows += study(address, args.repeats, args.entries)
        if LONG in args.only:
            data = yaml.safe_load((measure.ROOT / "params.yaml").read_text())["data"]
            with measure.project(data) as at_home, measure.project(data) as there:
                rows += whole(address, at_home, there)
    measure.publish("cluster", rows, args.results, above=above)


if __name__ == "__main__":
    main()
