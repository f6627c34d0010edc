"""How many rows and requests a second a trained network answers: python -m benchmarks.deployment

A table of numbers and words is made into a project by `howdeep init`, and one network is trained for an epoch. Then,
each in processes of their own:

predict    `howdeep predict` of a CSV with so many rows, with the seconds that it takes to start and without them, and
           the peak of its memory; beside the time in which pandas reads and writes the same file
serve      `howdeep serve`, asked for one row at a time by 1, 8 and 32 clients that keep their connections
"""

import http.client
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import measure
from benchmarks.measure import Row

HOWDEEP = (sys.executable, "-m", "howdeep")
PORT, FEW = 8765, 10
PEAK = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); " \
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"  # fmt: skip


def table(rows: int) -> pd.DataFrame:
    """Eight columns of numbers, two of words, and a class that follows from them."""
    random = np.random.RandomState(0)
    of = pd.DataFrame(random.randn(rows, 8).round(4), columns=[f"n{place}" for place in range(8)])
    of["colour"] = random.choice(["red", "green", "blue"], rows)
    of["shape"] = random.choice(["round", "square"], rows)
    of["label"] = np.where(of["n0"] + (of["colour"] == "red") > 0.3, "yes", "no")
    return of


@contextmanager
def trained() -> Iterator[Path]:
    """A project with one network."""
    with tempfile.TemporaryDirectory(prefix="howdeep-bench-") as folder:
        data, place = Path(folder, "made.csv"), Path(folder, "made")
        table(2000).to_csv(data, index=False)
        subprocess.run([*HOWDEEP, "init", str(place), "--data", str(data)], check=True, capture_output=True)
        what = (
            "train",
            "data=made",
            "model=mlp",
            "model.depth=2",
            "trainer.max_epochs=1",
            "tracking.uri=null",
        )
        subprocess.run([*HOWDEEP, *what, "hydra.run.dir=net"], cwd=place, check=True, capture_output=True)
        yield place


def predict(place: Path, rows: int, repeats: int) -> Iterator[Row]:
    """Of a short file and of a long one: the difference is what rows cost."""
    for count, name in ((FEW, "few.csv"), (rows, "rows.csv")):
        table(count).to_csv(place / name, index=False)

    def ask(name: str) -> tuple[float, float]:
        command = [*HOWDEEP, "predict", "net/run", name, "-o", "told.csv"]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *command], cwd=place, check=True, capture_output=True
        )
        return time.perf_counter() - start, int(done.stdout.split()[-1]) / 1024

    def pandas() -> float:
        start = time.perf_counter()
        pd.read_csv(place / "rows.csv").to_csv(place / "again.csv", index=False)
        return time.perf_counter() - start

    few, many, other = [], [], []
    for _ in range(repeats):
        few.append(ask("few.csv"))
        many.append(ask("rows.csv"))
        other.append(pandas())
    start, seconds, usual = (
        float(np.median([of[0] for of in times])) for times in (few, many, [(t,) for t in other])
    )
    memory = [float(np.median([of[1] for of in times])) for times in (few, many)]
    yield {"what": f"predict, {rows:,} rows", "clients": None, "a second": rows / (seconds - start), "p50 ms": None,
           "p99 ms": None, "failed": 0, "memory MB": memory[1]}  # fmt: skip
    yield {"what": f"pandas reads and writes them, {usual / (seconds - start):.2f} of the time", "clients": None,
           "a second": rows / usual, "p50 ms": None, "p99 ms": None, "failed": 0, "memory MB": None}  # fmt: skip
    yield {"what": f"predict, {FEW} rows: starting", "clients": None, "a second": FEW / start, "p50 ms": 1000 * start,
           "p99 ms": None, "failed": 0, "memory MB": memory[0]}  # fmt: skip


@contextmanager
def served(place: Path) -> Iterator[None]:
    server = subprocess.Popen(
        [*HOWDEEP, "serve", "net/run", "--port", str(PORT)], cwd=place, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            try:
                http.client.HTTPConnection("127.0.0.1", PORT).request("GET", "/health")
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


def load(clients: int, seconds: float) -> Row:
    """So many clients ask for one row at a time, each as soon as it has been answered."""
    columns = [name for name in table(1) if name != "label"]
    question = json.dumps(
        {"dataframe_split": {"columns": columns, "data": table(1)[columns].to_numpy().tolist()}}
    )
    times: list[float] = []
    failed, end = [0], time.perf_counter() + seconds

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        while (start := time.perf_counter()) < end:
            try:
                connection.request("POST", "/invocations", question, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                right = answer.status == 200 and b"prediction" in answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                right = False
            times.append(time.perf_counter() - start)
            failed[0] += not right

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begin
    p50, p99 = (1000 * float(np.percentile(times, percent)) for percent in (50, 99))
    return {"what": "serve, one row a request", "clients": clients, "a second": len(times) / took, "p50 ms": p50,
            "p99 ms": p99, "failed": failed[0], "memory MB": None}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = measure.options(__doc__, repeats=3)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the long file (default: a million)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="for each number of clients (default: 60)"
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], help="default: 1 8 32")
    args = parser.parse_args(argv)
    above = measure.begin()
    with trained() as place:
        rows = list(predict(place, args.rows, args.repeats))
        with served(place):
            rows += [load(clients, args.seconds) for clients in args.clients]
    notes = ["Clients and server share the machine. A request is one row; the time is that of the client."]
    measure.publish("deployment", rows, args.results, above=above, notes=notes)


if __name__ == "__main__":
    main()
