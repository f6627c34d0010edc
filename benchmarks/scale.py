"""How `howdeep compare` and the MLflow store bear 10,000 runs: python -m benchmarks.scale

compare   seconds and peak memory of the process, report included, on studies of made-up records: the entries of
          params.yaml in many variants, at 10 depths with 20 seeds each (--seeds), of 20 to 60 epochs
store     what a run writes to a store that holds 10,000 runs beside what it writes to an empty one, in turns; the
          store is filled in SQL with copies of a real run, which differ in their names and keys
fill      the same without copies: that many runs, one after another through `Store` into one store, and the CPU time
          of the last beside that of the first, and beside that of runs in a new store, in turns
"""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from omegaconf import DictConfig
from safetensors.numpy import save_file

from benchmarks import measure
from benchmarks.measure import ROOT, Row, in_turns, middle
from howdeep.files.project import Project
from howdeep.files.reading import yaml_of
from howdeep.files.writing import write_json, yaml_text
from howdeep.records import provenance
from howdeep.records.fingerprint import settings
from howdeep.records.record import describe, write_record
from howdeep.study import params
from howdeep.study.composition import compose_train
from howdeep.tracking.store import Store

DEPTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
SEEDS = 20
CLASSES, TESTED = 10, 360  # of a classifier, and its test examples
LAYER = ("activation_gradient", "weight_gradient", "activation_rms", "update_ratio")
AIM_SECONDS, AIM_MB, AIM_SLOWER = 20, 2000, 20
WINDOW = 200  # first and last runs whose writes are compared


def generate(here: Project, n: int, seeds: int = SEEDS) -> int:
    """Writes a study of about n runs: params.yaml, runs/, provenance/ and what tests it; how many there are."""
    content = yaml_of(ROOT / "params.yaml") | {"tune": None, "matching": ["width"]}
    bases = list(content["entries"].items())
    entries = {}
    for rank in range(max(1, round(n / seeds / len(DEPTHS)))):
        name, entry = bases[rank * 7 % len(bases)]  # steps of 7: a few of them are of every kind
        overrides = entry.get("overrides", {})
        optimizer = {**overrides.get("optimizer", {}), "lr": 1e-3 * (1 + rank)}
        entry = {key: value for key, value in entry.items() if key not in ("tune", "matching", "seeds")}
        entries[f"{name}-{rank}"] = {**entry, "overrides": {**overrides, "optimizer": optimizer}}
    content |= {"study": "scale", "depths": list(DEPTHS), "seeds": list(range(seeds)), "entries": entries}
    here.params.write_text(yaml_text(content))
    plan, tests, random = params.read(here.params), {}, np.random.default_rng(0)
    answers: dict[str, np.ndarray] = {}
    classes: dict[str, list[str]] = {}
    for entry in plan.entries.values():
        cfg = compose_train(here.conf, plan.overrides(entry, next(plan.cells(entry))))
        if is_classified := entry.task == "classification":
            classes[entry.name] = [str(number) for number in range(CLASSES)]
            answers[f"{entry.name}/label"] = random.integers(CLASSES, size=TESTED, dtype=np.int16)
        for cell, seed in plan.runs(entry):
            record = made_up(cfg, entry.name, cell.depth, seed, random)
            folder = here.runs / entry.name / cell.run_name(seed)
            write_record(folder, record, None, artifacts(entry.task, random))
            last, score = record["epochs"][-1], record["score"]["name"]
            tests[record["key"]] = {"loss": last["val/loss"], score: last[f"val/{score}"]}
            write_json(here.provenance / f"{record['key']}.json", trace())
            if is_classified:
                predicted = random.integers(CLASSES, size=TESTED, dtype=np.int16)
                answers[f"{record['key']}/predicted"] = predicted
                answers[f"{record['key']}/confidence"] = random.random(TESTED, dtype=np.float32)
    sizes = {name: TESTED for name in plan.entries}
    test = {"runs": tests, "baselines": {}, "examples": sizes, "train_examples": sizes, "classes": classes}
    write_json(here.results / "test.json", test)
    save_file(answers, here.results / "answers.safetensors")
    return len(tests)


def made_up(cfg: DictConfig, entry: str, depth: int, seed: int, random: np.random.Generator) -> dict:
    """A record that has the shape of a real one; its curves fall, and its gradients have a layer a depth."""
    config = settings(cfg)
    config = {**config, "seed": seed, "model": {**config["model"], "depth": depth}}
    key = random.bytes(8).hex()
    told = describe(cfg, key=key, entry=entry, checksum="0" * 64, config=config)
    score, parts = told["score"]["name"], ("generator", "discriminator") if told["model"] == "gan" else ("",)
    epochs: list[dict[str, float]] = []
    flow: list[dict[str, Any]] = []
    n = int(random.integers(20, 61))
    for epoch in range(n):
        loss = float((2 + random.normal() / 50) / (1 + epoch / 5))
        values = {"train/loss": loss * 0.9, "val/loss": loss, f"val/{score}": 1 / (1 + loss)}
        if epoch % cfg.diagnostics.every == 0 or epoch + 1 == n:
            values |= {f"gap/{part}": loss / 10 for part in ("loss", score, "train_loss", f"train_{score}")}
            for part in parts:
                prefix = f"gradient/{part}_" if part else "gradient/"
                values |= {
                    f"{prefix}ratio": float(random.lognormal()),
                    f"{prefix}first": float(random.lognormal()),
                }
                flow += [
                    {"epoch": epoch, **({"part": part} if part else {}), "layer": layer + 1}
                    | dict(zip(LAYER, random.lognormal(size=4).tolist(), strict=True))
                    for layer in range(depth)
                ]
        epochs.append({"epoch": epoch, **values})
    gap = {name: 0.1 for name in ("loss", score, "train_loss", f"train_{score}")}
    return {
        **told,
        "depth": depth,
        "seed": seed,
        "state": "finished",
        "reason": None,
        "best_epoch": n - 1,
        "epochs": epochs,
        "gap": {"best": gap, "last": gap},
        "gradient_flow": flow,
        "cost": {"parameters": 1000 * depth, "training_flops": 6000 * depth},
    }


def trace() -> dict[str, Any]:
    """What provenance tells of a run."""
    taken = {"started": "2026-01-01T00:00:00+00:00", "train_seconds": 0.9, "seconds": 1.0, "memory_mb": 500.0}
    about = {**provenance.commit(ROOT), **provenance.machine(), "packages": provenance.packages()}
    return {**taken, "resumed": False, **about}


def artifacts(task: str, random: np.random.Generator) -> dict[str, Any]:
    """As large as those of real runs."""
    import torch

    def images(n: int) -> Any:
        return torch.from_numpy(random.random((n, 1, 8, 8), dtype=np.float32))

    return {
        "reconstruction": lambda: {
            "originals": images(10),
            "reconstructions": images(10),
            "latent": torch.from_numpy(random.random((359, 2), dtype=np.float32)),
            "labels": torch.from_numpy(random.integers(0, 10, 359)),
        },
        "generation": lambda: {"samples": images(16)},
        "language_modelling": lambda: {"prompt": "return the " * 6, "sample": "input tensor " * 18},
    }.get(task, dict)()


def compare(sizes: Sequence[int], seeds: int = SEEDS) -> list[Row]:
    """`howdeep compare`, a process a study; without MLflow, since runs that were made up have no weights to log."""
    rows = []
    for size in sizes:
        with measure.project() as here:
            n = generate(here, size, seeds)
            clock = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "howdeep", "compare"],
                cwd=here.root,
                env={**os.environ, "MLFLOW_TRACKING_URI": ""},
                stderr=subprocess.PIPE,
                text=True,
            )
            assert process.stderr is not None
            said = process.stderr.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - clock
            if process.returncode:
                raise RuntimeError(f"howdeep compare failed:\n{said}")
            unit = 2**20 if sys.platform == "darwin" else 2**10
            rows.append(
                {
                    "runs": n,
                    "entries": n // seeds // len(DEPTHS),
                    "seconds": seconds,
                    "CPU seconds": used.ru_utime + used.ru_stime,
                    "ms a run": 1000 * seconds / n,
                    "peak MB": used.ru_maxrss / unit,
                    "report MB": (here.reports / "index.html").stat().st_size / 2**20,
                }
            )
        print(f"compare: {n} runs, {seconds:.1f} s", file=sys.stderr)
    return rows


def store(n: int, repeats: int) -> list[Row]:
    """A run's writes, in ms: opened, epochs, summary and closed; and what a stage asks of the store when it starts."""
    with measure.project() as small, measure.project() as large:
        found = {"empty": Tracked(small), f"{n:,} runs": Tracked(large)}
        for of in found.values():
            of.write()
        multiply(large.root / "mlflow.db", n)
        rows = []
        for what, action in {
            "a run's writes": Tracked.write,
            "closing abandoned runs, once a stage": lambda of: of.store.close_abandoned(),
            "the keys that `howdeep sync` asks for, once": lambda of: of.store.keys(),
        }.items():
            timed = {name: partial(milliseconds, partial(action, of)) for name, of in found.items()}
            taken = in_turns(timed, repeats)
            first, last = taken.values()
            rows.append(
                {
                    "what": what,
                    "empty, ms": median(first),
                    f"{n:,} runs, ms": median(last),
                    "slower, %": 100 * (median(last) / median(first) - 1),
                    "spread %": max(middle(first)[1], middle(last)[1]),
                }
            )
    return rows


class Tracked:
    """A store, and a made-up record to write to it."""

    def __init__(self, here: Project) -> None:
        self.store = Store(f"sqlite:///{here.root}/mlflow.db", "scale", here.root)
        self.parent = self.store.open_parent("digits-mlp", {})
        self.card = {"name": "digits", "homepage": "https://example.org", "digest": "0" * 64}
        self._cfg = compose_train(here.conf, [])
        self._random = np.random.default_rng(0)

    def write(self) -> None:
        """A new run, from `start` to `end`."""
        record = made_up(self._cfg, "digits-mlp", 4, int(self._random.integers(1 << 30)), self._random)
        run = self.store.start(record, parent=self.parent, about={"commit": "0" * 40}, dataset=self.card)
        run.end(record, trace())


def fill(n: int) -> list[Row]:
    """CPU time of the first and the last writes of n, in ms a run.

    Other processes slow both, but not at the same time: so the last ones take turns with runs in a new store.
    """
    with measure.project() as small, measure.project() as large:
        new, full = Tracked(small), Tracked(large)
        for of in (new, full):
            of.write()  # loads what writing needs
        window = min(WINDOW, n // 2)
        used = partial(milliseconds, time_of=time.process_time)
        first = [used(full.write) for _ in range(window)]
        for _ in range(n - 2 * window):
            full.write()
        last, beside = zip(*((used(full.write), used(new.write)) for _ in range(window)), strict=True)
        assert len(full.store.keys()) == n + 1
        return [
            {
                "runs": n,
                f"first {window}, ms": median(first),
                f"last {window}, ms": median(last),
                "slower, %": 100 * (median(last) / median(first) - 1),
                "in a new store meanwhile, ms": median(beside),
                "slower than there, %": 100 * (median(last) / median(beside) - 1),
                "store MB": (large.root / "mlflow.db").stat().st_size / 2**20,
            }
        ]


def milliseconds(action: Callable[[], object], time_of: Callable[[], float] = time.perf_counter) -> float:
    clock = time_of()
    action()
    return 1000 * (time_of() - clock)


def multiply(path: Path, n: int) -> None:
    """Copies the one nested run of a store n - 1 times, with all that belongs to it."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        (old,) = db.execute("SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId'").fetchone()
        db.execute("CREATE TEMP TABLE copies (id TEXT)")
        db.executemany("INSERT INTO copies VALUES (?)", ((os.urandom(16).hex(),) for _ in range(n - 1)))
        for table, column in (
            ("runs", "run_uuid"), ("metrics", "run_uuid"), ("latest_metrics", "run_uuid"), ("params", "run_uuid"),
            ("tags", "run_uuid"), ("inputs", "destination_id"),
        ):  # fmt: skip
            columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            copied = [
                "copies.id" if name in (column, "input_uuid") else f"{table}.{name}" for name in columns
            ]
            db.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(copied)} FROM {table}, copies "
                f"WHERE {table}.{column} = ?",
                (old,),
            )
        db.execute(
            "UPDATE tags SET value = substr(run_uuid, 1, 16) WHERE key = 'howdeep.key' "
            "AND run_uuid IN (SELECT id FROM copies)"
        )
        db.commit()


def plot(rows: Sequence[Row], path: Path) -> None:
    """Seconds and memory of `compare` against the number of runs; a straight line is a cost that grows linearly."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    FigureCanvasSVG(figure)
    for axis, name, aim in zip(
        figure.subplots(1, 2), ("seconds", "peak MB"), (AIM_SECONDS, AIM_MB), strict=True
    ):
        axis.plot([row["runs"] for row in rows], [row[name] for row in rows], "o-")
        axis.axhline(aim, color="black", linestyle=":")
        axis.set(title=name, xlabel="runs", xlim=(0, None), ylim=(0, None))
    figure.savefig(path, format="svg")


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = measure.options(__doc__, repeats=11)
    every = ("compare", "store", "fill")
    parser.add_argument("--only", nargs="+", choices=every, default=list(every))
    parser.add_argument("--sizes", nargs="+", type=int, default=[1000, 3000, 10_000], help="runs to compare")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of each cell: more of them, fewer entries")
    parser.add_argument("--store-runs", type=int, default=10_000, help="runs in the full store")
    options = parser.parse_args(argv)
    above, rows = measure.begin(), []
    if "compare" in options.only:
        rows = compare(options.sizes, options.seeds)
        note = f"Aim at 10,000 runs: {AIM_SECONDS} s and {AIM_MB} MB; as many ms a run at every size."
        measure.publish("scale-compare", rows, options.results, above=above, notes=[note])
        plot(rows, options.results / "scale-compare.svg")
    if "store" in options.only:
        found = store(options.store_runs, options.repeats)
        note = f"Wall time, medians of {options.repeats} in turns. Aim: a run's writes at most {AIM_SLOWER} % slower."
        measure.publish("scale-store", found, options.results, above=above, notes=[note])
        rows += found
    if "fill" in options.only:
        found = fill(options.store_runs)
        note = f"CPU time, medians. Aim: the last runs at most {AIM_SLOWER} % slower."
        measure.publish("scale-fill", found, options.results, above=above, notes=[note])
        rows += found
    return rows


if __name__ == "__main__":
    main()
