"""`dvc repro` and sweeps, stopped in every way and at any moment: the end is that of an uninterrupted one."""

import ctypes
import json
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from tests.amount import FULL, first, seeds, times
from tests.clones import Clone, copy_of
from tests.commands import ENV
from tests.torture.conftest import KILLED
from tests.torture.harness import (
    OUTPUTS,
    check_quiet,
    differences,
    kill_all_at,
    own_traceback,
    processes_at,
    tree,
    wait_until,
)

pytestmark = pytest.mark.slow
KILLS = 4  # of one study or sweep, one after the other
LIMIT = 120.0  # seconds in which anything here ends


class Repro:
    """A `dvc repro` in a session of its own, whose words go to a file: a pipe would be held by what outlives it."""

    def __init__(self, clone: Clone, *args: str) -> None:
        self.clone, self.log = clone, clone.folder.parent / "repro.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["dvc", "repro", *args], cwd=clone.folder, env=ENV, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def words(self) -> str:
        return self.log.read_text(errors="replace")

    def lives(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """Waits until it and all that it has started have ended, as they should by themselves."""
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            kill_all_at(self.clone.folder)
            pytest.fail(f"dvc had not ended {LIMIT:g} s after the stop\n{self.words[-3000:]}")
        check_quiet(self.clone.folder)
        assert not (found := own_traceback(self.words)), found


def kill_dvc_alone(repro: Repro, _dice: random.Random) -> None:
    repro.process.kill()


def kill_everything(repro: Repro, _dice: random.Random) -> None:
    kill_all_at(repro.clone.folder)


def kill_a_worker(repro: Repro, dice: random.Random) -> None:
    """One that a stage has forked, or else any of howdeep's."""
    ours = [p for p in processes_at(repro.clone.folder) if "howdeep" in " ".join(words_of(p))]
    forks = [p for p in ours if not children_of(p)]
    for process in dice.sample(forks, min(1, len(forks))):
        with suppress(psutil.Error):
            process.kill()


def kill_a_warm_process(repro: Repro, dice: random.Random) -> None:
    warm = [p for p in processes_at(repro.clone.folder) if "howdeep.warm" in words_of(p)]
    pids = {process.pid for process in warm}
    servers = [process for process in warm if parent_of(process) not in pids]
    for process in dice.sample(servers, min(1, len(servers))):
        with suppress(psutil.Error):
            process.kill()


def terminate_dvc(repro: Repro, _dice: random.Random) -> None:
    repro.process.terminate()


def press_ctrl_c(repro: Repro, _dice: random.Random) -> None:
    with suppress(ProcessLookupError):
        os.killpg(repro.process.pid, signal.SIGINT)


WAYS = (kill_dvc_alone, kill_everything, kill_a_worker, kill_a_warm_process, terminate_dvc, press_ctrl_c)


def words_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


def children_of(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return process.children()
    return []


def parent_of(process: psutil.Process) -> int | None:
    with suppress(psutil.Error):
        return process.ppid()
    return None


def is_torn(clone: Clone) -> bool:
    """Whether DVC could not start with its lock, or its list of locks, as they are."""
    path, locks = clone.folder / "dvc.lock", clone.folder / ".dvc/tmp/rwlock"
    try:
        if path.exists():
            COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(path.read_text()))
        if locks.exists():
            json.loads(locks.read_bytes())
    except (yaml.YAMLError, Invalid, ValueError):
        return True
    return False


def ends_as(clone: Clone, whole: Clone, repro: Repro | None, ways: list[str]) -> None:
    """Starts it again until it ends, and compares all that there is.

    Where nothing that could have mended a torn dvc.lock was left, it is `make repro` that is typed.
    """
    what = f"after {', '.join(ways)}"
    if is_torn(clone):  # whoever would have mended it was killed too, or not yet started
        done = subprocess.run(
            ["make", "-o", "install", "repro"],
            cwd=clone.folder,
            env=ENV,
            text=True,
            capture_output=True,
            timeout=LIMIT,
        )
        code, words = done.returncode, done.stdout + done.stderr
    else:
        repro = Repro(clone)
        repro.end()
        code, words = repro.process.returncode, repro.words
    assert code == 0, f"{what} it does not start again\n{words[-3000:]}"
    check_quiet(clone.folder)
    assert not differences(tree(clone.folder, *OUTPUTS), tree(whole.folder, *OUTPUTS)), what
    assert clone.lock == whole.lock, what
    check_mlflow(clone, what)


def check_mlflow(clone: Clone, what: str) -> None:
    """Each run of the study once, ended, and one model a cell."""
    store = clone.store()
    records = [json.loads(path.read_text()) for path in clone.folder.glob("runs/*/*/record.json")]
    runs = store.find(howdeep__kind="run")
    keys = Counter(run.data.tags["howdeep.key"] for run in runs)
    assert keys == Counter(record["key"] for record in records), what
    assert {run.info.status for run in runs} == {"FINISHED"}, what
    for kind in ("entry", "comparison"):
        parents = store.find(howdeep__kind=kind)
        assert "RUNNING" not in {run.info.status for run in parents}, what
    entries = Counter(run.data.tags["howdeep.entry"] for run in store.find(howdeep__kind="entry"))
    assert entries == {name: 1 for name in KILLED["entries"]}, what
    models = store.client.search_logged_models([store.experiment_id])
    cells = {(record["entry"], record["depth"]) for record in records}
    assert [str(model.status) for model in models] == ["READY"] * len(cells), what


@pytest.mark.parametrize("seed", seeds(1, 44))
def test_a_study_that_is_stopped_again_and_again_ends_as_an_uninterrupted_one(victim, whole, counted, seed):
    dice, ways, repro = random.Random(seed), [], None
    deck = list(WAYS)
    dice.shuffle(deck)
    for way in deck[:KILLS]:
        repro = Repro(victim)
        # Of most starts the first seconds are imports.
        moment = dice.uniform(0, 4) if dice.random() < 0.2 else dice.uniform(3, 14)
        with suppress(subprocess.TimeoutExpired):
            repro.process.wait(moment)
        lived = repro.lives()
        way(repro, dice)
        repro.end()
        ways.append(f"{way.__name__} at {moment:.2f} s{'' if lived else ' (too late)'}")
        counted("kills", int(lived))
        if is_torn(victim):
            break  # how that is mended is asked for at once
    ends_as(victim, whole, repro, ways)


# dvc.lock


class Watch:
    """Sees a file being written as soon as the system does: a look now and then would miss it."""

    MODIFY, CREATE = 0x2, 0x100

    def __init__(self, path: Path) -> None:
        self.name = path.name.encode()
        self._c = ctypes.CDLL(None, use_errno=True)
        self._queue = self._c.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._c.inotify_add_watch(self._queue, bytes(path.parent), self.MODIFY | self.CREATE) >= 0

    def close(self) -> None:
        os.close(self._queue)

    def wait(self, seconds: float) -> bool:
        """Whether it was written to within this time."""
        ready, _, _ = select.select([self._queue], [], [], seconds)
        if not ready:
            return False
        events, found = os.read(self._queue, 1 << 16), False
        while events:
            length = struct.unpack_from("iIII", events)[3]
            found |= events[16 : 16 + length].rstrip(b"\0") == self.name
            events = events[16 + length :]
        return found


def wait_for_a_write(repro: Repro, watch: Watch, n: int) -> bool:
    """Returns as soon as DVC begins to write its lock for the n-th time; False if it ends before."""
    path, written, last = repro.clone.folder / "dvc.lock", 0, 0.0
    while repro.lives():
        if watch.wait(0.2):
            # Several events are one write, unless half a second lies between them.
            written += time.monotonic() - last > 0.5
            last = time.monotonic()
            if written >= n and path.exists():
                return True
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="needs inotify")
@pytest.mark.parametrize("way", first([kill_everything, kill_dvc_alone], 1))
@pytest.mark.parametrize("seed", seeds(1, 5))
def test_dvc_killed_while_it_writes_its_lock_starts_again_to_the_same_end(victim, whole, counted, seed, way):
    dice, ways, repro = random.Random(seed), [], None
    with closing(Watch(victim.folder / "dvc.lock")) as watch:
        for _ in range(times(1, KILLS)):
            repro, nth = Repro(victim), dice.choice([1, 2, 3])
            if wait_for_a_write(repro, watch, nth):
                time.sleep(dice.choice([0, 0, dice.uniform(0, 0.02)]))  # nearer to the end of the write
                counted("kills")
            way(repro, dice)
            torn = is_torn(victim)
            repro.end()
            ways.append(f"{way.__name__} in write {nth} ({'torn' if torn else 'whole'})")
            if is_torn(victim):
                assert way is kill_everything, f"after {ways} nobody has put dvc.lock back"
                break
    ends_as(victim, whole, repro, ways)


# What has finished


def forget_the_lock_entry(clone: Clone) -> set[str]:
    path = clone.folder / "dvc.lock"
    lock = yaml.safe_load(path.read_text())
    del lock["stages"]["train@digits-mlp"]
    path.write_text(yaml.safe_dump(lock, sort_keys=False))
    return set()


def spoil_one_file(clone: Clone) -> set[str]:
    path = clone.folder / "runs/digits-mlp/depth=2-seed=1/weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    return {"runs/digits-mlp/depth=2-seed=1/record.json"}


def delete_the_cache(clone: Clone) -> set[str]:
    shutil.rmtree(clone.folder / ".dvc/cache")
    (clone.folder / "dvc.lock").unlink()
    return set()


@pytest.mark.parametrize("lose", first([spoil_one_file, delete_the_cache, forget_the_lock_entry], 2))
def test_runs_that_are_right_are_kept_whatever_dvc_has_lost(whole, tmp_path, lose):
    clone = copy_of(whole, tmp_path / "clone")
    before = clone.stamps()
    spoiled = lose(clone)
    repro = Repro(clone, "train@digits-mlp")
    repro.end()
    assert repro.process.returncode == 0, repro.words
    after = clone.stamps()
    assert {path for path in before if after.get(path) != before[path]} == spoiled
    assert not differences(tree(clone.folder, "runs"), tree(whole.folder, "runs"))


@pytest.mark.parametrize("seed", seeds(1, 4))
def test_runs_that_finished_before_dvc_knew_of_them_are_kept_unless_forced(victim, counted, seed):
    def records() -> int:
        return len(list(victim.folder.glob("runs/digits-mlp/*/record.json")))

    dice = random.Random(seed)
    repro = Repro(victim, "train@digits-mlp")
    wait_until(lambda: records() == 4 or not repro.lives(), "it never trained")
    time.sleep(dice.uniform(0, 0.2))
    kill_everything(repro, dice)
    repro.end()
    assert records() == 4
    if "train@digits-mlp" in victim.lock:
        pytest.skip("the kill came too late: DVC knew of the runs")
    counted("kills")
    before = victim.stamps()
    again = Repro(victim, "train@digits-mlp")
    again.end()
    assert again.process.returncode == 0, again.words
    assert victim.stamps() == before
    if FULL:
        lock = victim.lock
        forced = Repro(victim, "--force", "--single-item", "train@digits-mlp")
        forced.end()
        after = victim.stamps()
        assert {path for path in before if after[path] != before[path]} == set(before)
        assert victim.lock == lock
