"""Our training loop beside one written by hand and beside the usual Lightning loop: python -m benchmarks.loops

CPU seconds of one thread, taken in turns (raw, ours, usual, raw, ...), for one entry of params.yaml an architecture,
with its settings and as many epochs, but fewer where networks are deep. A training is building the net, all epochs with
their validation, and whatever follows the last one. Ours has its default diagnostics, resume points and MLflow on, its
epochs written to the store; what opening and closing a run costs is told by `pipeline`. The judge of a gan is trained
beforehand, and scores every epoch of all three. The table is written after each case, all architectures at depth 1
first; started again with --continue, what it has is kept.

The floor is what the products of matrices alone would take at the speed of a large one: the FLOPs of training and
validation over the FLOPs that one thread does in a second in a product of 1024 x 1024 matrices.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from omegaconf import DictConfig

from benchmarks import measure, raw, usual
from benchmarks.measure import Row, clocked, in_turns, middle
from howdeep.data.examples import Split
from howdeep.diagnostics.cost import training_flops
from howdeep.diagnostics.gap import OverfittingGap
from howdeep.diagnostics.gradients import GradientFlow, UpdateRatio
from howdeep.files.project import Project
from howdeep.processes.garbage import collect_seldom
from howdeep.records.cell import Cell
from howdeep.records.fingerprint import settings
from howdeep.records.record import describe
from howdeep.runs.examples import load_split, train_checksum
from howdeep.runs.run import Epochs, job_of, tracked
from howdeep.study import params
from howdeep.study.composition import compose_train
from howdeep.tracking.store import Store
from howdeep.training.run import build, train

ENTRIES = {
    "mlp": "digits-mlp",
    "cnn": "digits-cnn",
    "rnn": "sunspots-rnn",
    "lstm": "sunspots-lstm",
    "autoencoder": "digits-autoencoder",
    "gan": "digits-gan",
    "transformer": "digit_sequences-transformer",
}
DEPTHS = (1, 4, 16)
MOST_EPOCHS, MOST_IF_DEEP = 100, 40  # where the study's own would take minutes
HIDDEN = ("raw spread %", "ours spread %", "usual ms", "usual spread %")  # columns for the CSV alone
AIM_RATIO, AIM_MS = 1.05, 3.0  # ours takes at most 1.05 x raw + 3 ms an epoch


@dataclass(frozen=True)
class Case:
    """An architecture at a depth, with everything that its three trainings need."""

    cfg: DictConfig
    split: Split
    project: Project
    store: Store

    @property
    def epochs(self) -> int:
        return self.cfg.trainer.max_epochs

    def raw(self) -> float:
        clock = time.process_time()
        raw.train(self.cfg, self.split)
        return time.process_time() - clock

    def ours(self) -> float:
        cfg, checksum = self.cfg, train_checksum(self.cfg, self.project)
        job = job_of(cfg, self.project.runs, self.project)
        record = describe(cfg, key=job.key, entry=None, checksum=checksum, config=settings(cfg))
        with tracked(self.store, job, record, self.project) as live:
            assert live is not None
            clock = time.process_time()
            place = self.project.scratch / "bench.ckpt"
            outcome = train(
                cfg, self.split, resume_point=place, identity={"key": job.key}, callbacks=[Epochs([live])]
            )
            live.run.log_epochs(outcome.history.epochs, flush=True)
            seconds = time.process_time() - clock
        self.store.close(live.run.run_id, "FINISHED")
        place.unlink(missing_ok=True)
        return seconds

    def usual(self) -> float:
        with tempfile.TemporaryDirectory(dir=self.project.root) as folder:
            clock = time.process_time()
            usual.train(self.cfg, self.split, Path(folder))
            return time.process_time() - clock

    def looking(self) -> float:
        """The share of our training that the looks at overfitting gap and gradients take."""
        looks = [
            (OverfittingGap, "on_train_epoch_end"),
            *((GradientFlow, f"on_train_{when}") for when in ("epoch_start", "epoch_end", "end")),
            (UpdateRatio, "_remember"),
        ]
        with clocked(looks) as spent:
            total = self.ours()
        return spent.seconds / total

    def flops(self) -> float:
        """FLOPs of an epoch: the training, and the validation with a third of them for each example."""
        example = self.split.train[0][:1]
        seen, unseen = len(self.split.train[0]), len(self.split.validation[0])
        return training_flops(build(self.cfg.model), example) * (seen + unseen / 3)


def case(model: str, depth: int, here: Project, epochs: int | None = None) -> Case:
    """The entry of an architecture at a depth, as params.yaml has it."""
    plan = params.read(here.params)
    entry = plan.entry(ENTRIES[model])
    cfg = compose_train(here.conf, plan.overrides(entry, Cell(entry.data, entry.model, depth)))
    cfg.trainer.max_epochs = epochs or min(
        cfg.trainer.max_epochs, MOST_EPOCHS if depth == 1 else MOST_IF_DEEP
    )
    store = Store(f"sqlite:///{here.root}/mlflow.db", "benchmarks", here.root)
    return Case(cfg, load_split(cfg, here), here, store)


def matmul_flops(size: int = 1024, repeats: int = 10) -> float:
    """FLOPs a second of one thread in a product of square float32 matrices, the best of a few."""
    a, b = torch.rand(2, size, size)
    seconds = []
    for _ in range(repeats):
        clock = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - clock)
    return 2 * size**3 / min(seconds)


def row(of: Case, model: str, depth: int, repeats: int, throughput: float) -> Row:
    """What the table tells of a case; times are milliseconds an epoch, the spread is half the range, in percent."""
    taken = in_turns({"raw": of.raw, "ours": of.ours, "usual": of.usual}, repeats)
    an_epoch = {name: [1000 * s / of.epochs for s in seconds] for name, seconds in taken.items()}
    pairs = list(zip(an_epoch["raw"], an_epoch["ours"], an_epoch["usual"], strict=True))
    mid = {name: middle(values) for name, values in an_epoch.items()}
    floor = 1000 * of.flops() / throughput
    return {
        "architecture": model,
        "depth": depth,
        "epochs": of.epochs,
        "raw ms": mid["raw"][0],
        "raw spread %": mid["raw"][1],
        "ours ms": mid["ours"][0],
        "ours spread %": mid["ours"][1],
        "usual ms": mid["usual"][0],
        "usual spread %": mid["usual"][1],
        "ours / raw": median(ours / by_hand for by_hand, ours, _ in pairs),
        "spread %": max(mid["raw"][1], mid["ours"][1]),
        "ours - 1.05 raw, ms": median(ours - AIM_RATIO * by_hand for by_hand, ours, _ in pairs),
        "usual / raw": median(usual / by_hand for by_hand, _, usual in pairs),
        "looks %": 100 * of.looking(),
        "floor ms": floor,
        "raw / floor": mid["raw"][0] / floor,
        "ours / floor": mid["ours"][0] / floor,
    }


def plot(rows: Sequence[Row], path: Path) -> None:
    """Ratios to the raw loop: ours and the usual one, an architecture a panel, against depth."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(row["architecture"] for row in rows))
    figure = Figure(figsize=(1.9 * len(models) + 1, 3), layout="constrained")
    FigureCanvasSVG(figure)
    panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
    for axis, model in zip(panels, models, strict=True):
        own = [row for row in rows if row["architecture"] == model]
        for name, style in (("usual", "s--"), ("ours", "o-")):
            axis.plot([row["depth"] for row in own], [row[f"{name} / raw"] for row in own], style, label=name)
        aims = [AIM_RATIO + AIM_MS / row["raw ms"] for row in own]
        axis.plot([row["depth"] for row in own], aims, "k:", label="1.05 raw + 3 ms an epoch")
        axis.set(title=model, xscale="log", yscale="log", xlabel="depth")
        axis.set_xticks([row["depth"] for row in own], [str(row["depth"]) for row in own], minor=False)
        axis.set_xticks([], minor=True)
        axis.set_yticks([1, 1.5, 2, 3, 5, 8], ["1", "1.5", "2", "3", "5", "8"], minor=False)
        axis.set_yticks([], minor=True)
        axis.grid(axis="y", alpha=0.3)
    panels[0].set_ylabel("CPU time over the raw loop's")
    panels[-1].legend(frameon=False, fontsize=8)
    figure.savefig(path, format="svg")


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = measure.options(__doc__, repeats=5)
    parser.add_argument("--only", nargs="+", choices=ENTRIES, default=list(ENTRIES), metavar="ARCHITECTURE")
    parser.add_argument("--depths", nargs="+", type=int, default=list(DEPTHS))
    parser.add_argument("--epochs", type=int, help="instead of the study's")
    parser.add_argument(
        "--continue",
        action="store_true",
        dest="go_on",
        help="keep the rows that an earlier start has measured",
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    collect_seldom()
    above, throughput = measure.begin(), matmul_flops()
    cases = [(model, depth) for depth in options.depths for model in options.only]
    rows = measure.written("loops", options.results) if options.go_on else []
    kept = [_case(row) for row in rows]
    notes = [
        f"CPU milliseconds an epoch, medians of {options.repeats} turns; the spread is half the range. Aim: ours - "
        f"{AIM_RATIO} raw at most {AIM_MS:g} ms. Looks: the part of ours that is overfitting gap and gradient flow.",
        f"Floor: FLOPs of the products of matrices at {throughput / 1e9:.0f} GFLOP/s, one thread's in a large product.",
        *(
            [f"Of an earlier start: {', '.join(f'{model} {depth}' for model, depth in kept)}."]
            if kept
            else []
        ),
    ]
    with measure.project(["digits", "digit_sequences", "sunspots"]) as here:
        for rank, (model, depth) in enumerate(cases, start=1):
            print(f"{rank} of {len(cases)}: {model}, depth {depth}: ", end="", file=sys.stderr, flush=True)
            if (model, depth) in kept:
                print("kept", file=sys.stderr)
                continue
            clock = time.perf_counter()
            of = case(model, depth, here, options.epochs)
            found = row(of, model, depth, options.repeats, throughput)
            print(f"{found['ours / raw']:.3f} x raw, {time.perf_counter() - clock:.0f} s", file=sys.stderr)
            rows = sorted(
                [*rows, found], key=lambda row: (list(ENTRIES).index(row["architecture"]), row["depth"])
            )
            told = [*notes, f"Afterwards: load {measure.load()}."]
            measure.write("loops", rows, options.results, above=above, notes=told, hidden=HIDDEN)
            plot(rows, options.results / "loops.svg")
    print((options.results / "loops.md").read_text(encoding="utf-8"))
    return rows


def _case(row: Row) -> tuple[str, int]:
    return row["architecture"], row["depth"]


if __name__ == "__main__":
    main()
