"""Warm processes for all stages of a `dvc repro`: they pay the imports once and fork a stage in milliseconds.

Torch, Lightning and MLflow take seconds to import, and a study has dozens of stages. The first stage starts two warm
processes, which end with the `dvc` that they serve: one pulls and prepares data sets, for which it needs few imports,
while the other one still imports what all later stages need. A stage's command stays what DVC sees: it hands its
arguments, folder, environment and terminal over, passes signals on, and ends as its fork ends. Where no warm process
can serve, the command does the work itself.
"""

import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import psutil

from howdeep.cluster import address as cluster
from howdeep.errors import Stopped, UserError
from howdeep.files import dvc_state, project
from howdeep.files.project import Project
from howdeep.processes import dvc as dvcs
from howdeep.processes import signals
from howdeep.processes.garbage import collect_seldom

# What the stages of each warm process import, and what they import only when they first use it; MLflow uses some only
# where they are installed.
IMPORTS = {
    "data": ("howdeep.runs.examples", "safetensors.numpy", "howdeep.data.digits", "howdeep.data.sunspots"),
    "torch": (
        "howdeep.stages.train", "howdeep.stages.tune_trials", "howdeep.stages.evaluate", "howdeep.stages.inspect",
        "howdeep.stages.compare", "mlflow.pyfunc", "mlflow.pytorch", "mlflow.store.tracking.sqlalchemy_store",
        "mlflow.tracing.processor.base_mlflow", "optuna", "sklearn.datasets", "git", "IPython", "tabulate",
        "safetensors.torch", "sqlalchemy.dialects.sqlite", "importlib_metadata._adapters",
    ),
}  # fmt: skip
DATA = ("pull", "prepare")  # the commands of the first one
ALONE = (
    "code",
    "claim-code",
)  # run every time, with few imports: where nothing has changed, no process starts
Main = Callable[[list[str]], int]


def call(argv: list[str], main: Main) -> int | None:
    """Runs a command in a warm process, if a `dvc` wants it.

    Args:
        argv: the command line.
        main: what runs one in a fork, a function of a module; gives the exit code.

    Returns:
        The exit code; None if the command must be run here.
    """
    dvc = None if argv[:1] and argv[0] in ALONE else dvcs.dvc()
    if dvc is None:
        return None
    signals.stop_on_signals()
    try:
        here = project.find()
        place = here.scratch
        place.mkdir(exist_ok=True)
        _remove_dead_sockets(place)
        dvc_state.tell(here)
        # Relative: an address has 108 bytes at most.
        addresses = {kind: os.path.relpath(place / f"warm-{kind}-{dvc.pid}.sock") for kind in IMPORTS}
        kind = "data" if argv[:1] and argv[0] in DATA else "torch"
        if (connection := _connect(addresses[kind])) is None:
            _start(kind, addresses[kind], dvc, main)
            if kind == "data" and not os.path.exists(addresses["torch"]):
                _start("torch", addresses["torch"], dvc, main)  # will soon be needed
            connection = _connect(addresses[kind])
    except (UserError, OSError):  # no project, or a file system without sockets
        return None
    if connection is None:
        return None
    with connection, signals.stop_with(dvc):
        try:
            socket.send_fds(connection, [b"\n"], [0, 1, 2])
            env = {**os.environ, dvcs.DVC: str(dvc.pid)}  # a fork has other ancestors
            request = {"argv": argv, "folder": os.getcwd(), "env": env, "pid": os.getpid()}
            connection.sendall(json.dumps(request).encode() + b"\n")
            answers = connection.makefile()
            fork = int(answers.readline())
        except (OSError, ValueError):  # it did not live to start the work
            return None
        code = _follow(answers, fork)
    return _exit_code(code)


def _connect(address: str) -> socket.socket | None:
    """A connection to the warm process, None if there is none."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        return None
    return connection


def _remove_dead_sockets(place: Path) -> None:
    """Removes the sockets of warm processes that were killed with their dvc."""
    for path in place.glob("warm-*-*.sock"):
        pid = path.stem.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            path.unlink(missing_ok=True)


def _start(kind: str, address: str, dvc: psutil.Process, main: Main) -> None:
    """Starts a warm process; whoever connects waits until it has imported what it needs."""
    Path(address).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        os.chmod(address, 0o600)  # who connects has commands run as this user
        listener.listen()
        subprocess.Popen(
            [
                *(sys.executable, "-m", "howdeep.warm", kind, address, str(dvc.pid), str(listener.fileno())),
                f"{main.__module__}:{main.__qualname__}",
            ],
            pass_fds=[listener.fileno()],
            start_new_session=True,  # Ctrl-C is for the commands, which pass it on
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _follow(answers: Any, fork: int) -> int | None:
    """Waits for the fork and passes on what would stop this command; None if the warm process itself was killed."""
    while True:
        try:
            answer = answers.readline()
            return int(answer) if answer else None
        except Stopped as stopped:
            with suppress(ProcessLookupError):
                os.kill(fork, stopped.signum)


def _exit_code(code: int | None) -> int:
    """Ends this process by the signal that ended its fork, so that DVC sees the same."""
    if code is None:
        print(
            "howdeep: the process that runs the stages of this `dvc repro` was killed: finished runs are kept; "
            "run `dvc repro` again",
            file=sys.stderr,
        )
        return 1
    if code < 0:
        with suppress(OSError):  # SIGKILL has no other handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def serve(kind: str, place: Path, dvc: psutil.Process, listener: socket.socket, main: Main) -> None:
    """Forks commands, one after the other as DVC starts them, until `dvc` has ended or the code was edited."""
    from hydra.core.plugins import Plugins

    for name in IMPORTS[kind]:
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    here, code = Project(place.parent.parent), _code()
    with suppress(ModuleNotFoundError, UserError, OSError):  # which the stages tell
        if cluster.found(cluster.named_in(here.params)):
            importlib.import_module("distributed")
    Plugins.instance()  # Hydra looks for its plugins
    if kind == "torch":
        from mlflow.utils import requirements_utils

        requirements_utils._init_modules_to_packages_map()  # MLflow looks for packages before it logs a model
    with suppress(UserError, OSError):  # which the stages tell
        _warm_up(kind)
    gc.freeze()
    try:
        with suppress(Stopped), signals.stop_with(dvc, seconds=0.1):
            while _code() == code:
                connection, _ = listener.accept()
                with connection, suppress(BrokenPipeError, ConnectionResetError):
                    if _code() != code:
                        break  # what was imported is not what DVC hashes: the command runs itself
                    with suppress(OSError):  # a full disk
                        dvc_state.keep(here)  # DVC has written it by now, and waits for this stage
                    _serve_one(connection, listener, main)
    finally:
        place.unlink(missing_ok=True)
    if not signals.lives(dvc):
        with suppress(OSError):  # then `howdeep repair` has to
            dvc_state.mend(here)


def _warm_up(kind: str) -> None:
    """Composes a config and opens the store, so that no fork has to build the tables of parsers and of SQLAlchemy."""
    from howdeep.study.composition import compose_train

    here = project.find()
    if kind == "data":
        compose_train(here.conf, [])
        return
    from howdeep.stages.synchronise import study_store
    from howdeep.tracking import database

    store = study_store(here)
    if store is not None and store.uri.startswith("sqlite:"):  # a server may be slow to answer, or not there
        store.strict = True  # a stage tells what is wrong, this process has no terminal
        store.close_abandoned()
        store.find(howdeep__kind="comparison")
        database.leave(store.uri, to_parent=False)


def _serve_one(connection: socket.socket, listener: socket.socket, main: Main) -> None:
    import multiprocessing  # a command does without

    _, terminal, *_ = socket.recv_fds(connection, 1, 3)
    request = json.loads(connection.makefile().readline())
    fork = multiprocessing.get_context("fork").Process(
        target=_run, args=(main, request, terminal, [connection, listener])
    )
    fork.start()
    for number in terminal:
        os.close(number)
    connection.sendall(f"{fork.pid}\n".encode())
    fork.join()
    connection.sendall(f"{fork.exitcode}\n".encode())


def _run(main: Main, request: dict, terminal: list[int], inherited: list[socket.socket]) -> None:
    """The command, in the fork: at the caller's folder and terminal, until the caller has ended."""
    for end in inherited:  # open here, they would hide the death of the warm process
        end.close()
    for ours, theirs in enumerate(terminal):
        os.dup2(theirs, ours)
        os.close(theirs)
    os.chdir(request["folder"])
    os.environ.update(request["env"])
    del os.environ["DVC_STAGE"]  # not DVC is to be watched, but the caller, which watches DVC
    with suppress(psutil.NoSuchProcess), signals.stop_with(psutil.Process(request["pid"])):
        sys.exit(main(request["argv"]))


def _code() -> dict[str, int]:
    """When each file of howdeep was last changed."""
    return {str(path): path.stat().st_mtime_ns for path in Path(__file__).parent.rglob("*.py")}


if __name__ == "__main__":
    kind, address, pid, descriptor, name = sys.argv[1:]
    collect_seldom()
    listening = socket.socket(fileno=int(descriptor))
    serve(kind, Path(address).absolute(), psutil.Process(int(pid)), listening, resolve_name(name))
    os._exit(0)
