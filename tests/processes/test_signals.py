"""Ending in order: signals really sent to this process."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from howdeep.errors import Stopped
from howdeep.processes import signals
from howdeep.processes.dvc import forced
from howdeep.processes.signals import hold_stop, stop_if_asked, stop_no_more, stop_on_signals, stopping
from howdeep.tracking.store import Store

SECONDS_TO_STOP = 0.5  # shorter than for people


@pytest.fixture(autouse=True)
def handlers(monkeypatch):
    """Puts the handlers of the test run back."""
    monkeypatch.setattr(signals, "SECONDS_TO_STOP", SECONDS_TO_STOP)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    hook = sys.unraisablehook
    stop_on_signals()
    yield
    stop_no_more()
    sys.unraisablehook = hook
    for number, handler in before.items():
        signal.signal(number, handler)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_stops():
    with pytest.raises(Stopped):
        terminate()


def test_a_stop_during_a_destructor_is_not_lost(capsys):
    class Dying:
        def __del__(self) -> None:
            terminate()
            time.sleep(1)

    def work() -> None:
        del dying[0]
        time.sleep(10)

    dying = [Dying()]
    with pytest.raises(Stopped):
        work()
    assert capsys.readouterr().err == ""


def test_a_stop_that_was_dropped_comes_again_and_again():
    dropped = 0
    while dropped < 3:
        with suppress(Stopped):
            if dropped == 0:
                terminate()
            time.sleep(10 * SECONDS_TO_STOP)
            pytest.fail("it did not come again")
        dropped += 1


def test_a_stop_that_another_error_took_the_place_of_is_still_asked_for():
    class Careless:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            raise AttributeError("'NoneType' object has no attribute 'close'")

    assert stopping() is None
    with pytest.raises(AttributeError), Careless():
        terminate()
    stopped = stopping()
    assert stopped is not None
    assert stopped.signum == signal.SIGTERM
    with pytest.raises(Stopped):
        stop_if_asked()
    stop_no_more()
    stop_if_asked()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("repro", False),
        ("repro -f", True),
        ("repro --force", True),
        ("repro -sf train@digits-mlp", True),
        ("repro --force-downstream", False),
        ("exp run --force", True),
        ("exp run -n f", False),
        ("exp run -nf", False),
        ("repro -s train@f", False),
    ],
)
def test_force_is_read_as_dvc_reads_it(monkeypatch, words, expected):
    class Dvc:
        def cmdline(self) -> list[str]:
            return [sys.executable, "/somewhere/bin/dvc", *words.split()]

    monkeypatch.setattr("howdeep.processes.dvc.dvc", Dvc)
    assert forced() == expected


def test_no_dvc_forces_nothing():
    assert not forced()


@pytest.mark.slow
def test_a_second_process_waits_for_the_first_and_says_so(tmp_path):
    """`howdeep train` typed twice: both would write one checkpoint."""
    program = (
        "import sys, time; from pathlib import Path; from howdeep.processes.locks import only_writer\n"
        "with only_writer(Path(sys.argv[1]), 'the run', seconds=None):\n"
        "    print('in', flush=True); time.sleep(float(sys.argv[2])); print('out', flush=True)"
    )

    def start(seconds: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, str(tmp_path / "x.lock"), seconds]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    first = start("2")
    assert first.stdout is not None
    assert first.stdout.readline() == "in\n"
    others = [start("0.1") for _ in range(2)]
    for process in others:
        out, err = process.communicate(timeout=60)
        assert first.poll() is not None  # it had ended
        assert out == "in\nout\n"
        assert err.startswith("howdeep: waiting for another process that trains the run")
    assert not (tmp_path / "x.lock").exists()


def test_a_stop_that_arrived_comes_no_more():
    with pytest.raises(Stopped):
        terminate()
    stop_no_more()
    time.sleep(2 * SECONDS_TO_STOP)


def test_what_holds_a_stop_is_done_whole_and_stops_then():
    done = []

    @hold_stop()
    def outer() -> None:
        inner()
        done.append("outer")

    @hold_stop()
    def inner() -> None:
        terminate()
        done.append("inner")

    with pytest.raises(Stopped):
        outer()
    assert done == ["inner", "outer"]


def test_a_held_stop_outlives_an_error():
    @hold_stop()
    def fail() -> None:
        terminate()
        raise ValueError("meanwhile")

    with pytest.raises(Stopped) as caught:
        fail()
    assert isinstance(caught.value.__context__, ValueError)


@pytest.mark.slow
def test_a_store_is_whole_and_writable_after_a_stop_in_the_middle_of_a_write(tmp_path, capfd):
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", "stops", tmp_path)
    run_id = store.open_parent("entry", {})
    assert run_id is not None
    values = [(f"value{i}", float(i), 0) for i in range(900)]

    def write_until_stopped(delay: float) -> None:
        threading.Timer(delay, terminate).start()  # the signal may come before this line has ended
        while True:
            store.log(run_id, values)

    store.log(run_id, values)
    for delay in (0.001, 0.003, 0.005, 0.01, 0.02, 0.03):
        stop_on_signals()
        with pytest.raises(Stopped):
            write_until_stopped(delay)
        stop_no_more()
        store.close(run_id, "KILLED")
    assert len(store.client.get_run(run_id).data.metrics) == len(values)
    assert "Traceback" not in capfd.readouterr().err
