"""How many trials a minute a sweep gets through, against what its workers could do at most: python -m benchmarks.sweeps

A trial keeps its core busy for a given time and reports ten values on the way; its losses are drawn, so that a pruner
has something to prune. The limit is workers x 60 / seconds of a trial: what is missing to it is the price of asking,
reporting and telling. The pruned studies have no limit: they show how many more trials fit into a minute.
"""

import tempfile
import time
from pathlib import Path

from benchmarks import measure
from benchmarks.measure import Row, begin, publish
from howdeep.processes.workers import cores
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import run
from howdeep.sweeping.space import FloatRange, Space
from howdeep.sweeping.study import Trial

REPORTS = 10
LIMIT = 85.0  # percent that are aimed at


def busy(seconds: float) -> None:
    """Keeps the core busy, as a training does."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def objective_of(seconds: float):
    """A trial of so many seconds whose loss falls with each report, the further the better its only setting is."""

    def objective(trial: Trial) -> float:
        loss = 0.0
        for step in range(REPORTS):
            busy(seconds / REPORTS)
            loss = trial.point["x"] + 1 / (1 + step)
            trial.report(step, loss)
        return loss

    return objective


def study(seconds: float, total: int, workers: int, sampler: str, pruner: str, storage: str | None) -> Row:
    """Fills a study of its own and times it."""
    with tempfile.TemporaryDirectory(prefix="howdeep-bench-") as folder:
        where = storage or str(Path(folder) / "sweep.journal")
        name = f"{sampler}-{pruner}-{seconds:g}-{time.time_ns()}"
        plan = Plan(name, Space({"x": FloatRange(0, 1)}), total, sampler=sampler, pruner=pruner)
        start = time.perf_counter()
        (results,) = run([plan], where, objective_of(seconds), workers)
        wall = time.perf_counter() - start
    assert len(results) == total
    rate, most = 60 * total / wall, 60 * workers / seconds
    return {
        "trial s": seconds,
        "workers": workers,
        "sampler": sampler,
        "pruner": pruner,
        "trials": total,
        "pruned": sum(result.state == "pruned" for result in results),
        "trials a minute": rate,
        "limit": most if pruner == "none" else None,
        "% of it": 100 * rate / most if pruner == "none" else None,
    }


def main() -> None:
    parser = measure.options(__doc__, repeats=1)
    parser.add_argument(
        "--seconds", type=float, nargs="+", default=[1.0, 5.0], help="of a trial (default: 1 5)"
    )
    parser.add_argument(
        "--busy", type=float, default=40.0, help="seconds that a study takes at most (default: 40)"
    )
    parser.add_argument("--workers", type=int, default=cores(), help="default: one for each core")
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--storage", help="a journal, sqlite:///... or postgresql://... (default: a journal)")
    args = parser.parse_args()
    above = begin()
    rows = [
        study(
            seconds,
            args.workers * max(1, round(args.busy / seconds)),
            args.workers,
            args.sampler,
            pruner,
            args.storage,
        )
        for seconds in args.seconds
        for pruner in ("none", "median")
        for _ in range(args.repeats)
    ]
    note = f"The aim is {LIMIT:g} % of the limit. Without a pruner nothing is reported, since nobody asks."
    publish("sweeps", rows, args.results, above=above, notes=[note])


if __name__ == "__main__":
    main()
