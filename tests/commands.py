"""howdeep commands as real processes, forked from one that has imported torch and the like: that takes seconds each.

Nothing of howdeep is imported before the fork, which takes it from where PYTHONPATH says, as a new Python would.
"""

import gc
import os
import select
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import psutil

ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
ENV = {name: value for name, value in ENV.items() if not name.startswith(("DVC_", "GIT_", "MLFLOW_", "MAKE"))}
SECONDS = 300.0  # more than any command here takes on a busy machine


@dataclass
class Done:
    code: int | None
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("howdeep: ")]

    def check_words(self) -> None:
        """Whatever happened: no traceback, and a mistake is one line."""
        assert "Traceback" not in self.out + self.err, self.err[-3000:]
        assert self.code is not None, f"it took longer than {SECONDS:g} s\n{self.err[-3000:]}"
        if self.code:
            assert len(self.complaints) == 1, (
                f"exit code {self.code} with other than one line\n{self.err[-3000:]}"
            )


def _forks() -> ForkServerContext:
    from howdeep.warm import IMPORTS

    context = ForkServerContext()
    others = [name for name in IMPORTS["torch"] if not name.startswith("howdeep")]
    context.set_forkserver_preload(
        ["torch", "pytorch_lightning", "torchmetrics", "hydra", "pandas", "scipy.stats", *others]
    )
    return context


def _typed(folder: str, env: dict[str, str], out: str, err: str) -> None:
    """Makes this fork one that was started at a folder."""
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY), descriptor)
    sys.path[:0] = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))


def _command(argv: list[str], *place: Any) -> None:
    """In the fork: a howdeep command, as if it had been typed there."""
    _typed(*place)
    from howdeep.cli import main

    sys.exit(main(argv))


def _dvc(argv: list[str], *place: Any) -> None:
    """In the fork: DVC itself, with warm processes that stages find as if the first of them had started them."""
    _typed(*place)
    scratch = Path.cwd() / "scratch"
    scratch.mkdir(exist_ok=True)
    dvc = psutil.Process()
    for kind in ("data", "torch"):
        address = scratch / f"warm-{kind}-{dvc.pid}.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(address))
            listener.listen()
            if not os.fork():
                _serve(kind, address, dvc, listener)
    os.execvp("dvc", ["dvc", *argv])


def _serve(kind: str, address: Path, dvc: psutil.Process, listener: socket.socket) -> None:
    """A warm process from the moment in which a stage asks for it."""
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    while not select.select([listener], [], [], 0.05)[0]:
        if os.getppid() != dvc.pid:
            address.unlink()
            os._exit(0)
    gc.set_threshold(50_000, 20, 50)  # as in `howdeep.warm`
    from howdeep import cli, warm

    warm.serve(kind, address, dvc, listener, cli.main)
    os._exit(0)


class Command:
    """A command that has been started; a real process, but without the seconds that imports take.

    Args:
        folder: where it is typed.
        argv: the words after `howdeep`; of `dvc`, with that word.
        env: what the environment has beside `ENV`.
    """

    def __init__(self, folder: Path, *argv: str, **env: str) -> None:
        self._texts = []
        for _ in range(2):
            descriptor, path = tempfile.mkstemp(prefix="command-")
            os.close(descriptor)
            self._texts.append(path)
        target, words = (_dvc, argv[1:]) if argv[:1] == ("dvc",) else (_command, argv)
        place = (str(folder), ENV | env, *self._texts)
        self.process = _forks().Process(target=target, args=(list(words), *place))
        self.process.start()

    def kill(self) -> None:
        self.process.kill()

    def wait(self, seconds: float = SECONDS) -> Done:
        self.process.join(seconds)
        code = self.process.exitcode
        if code is None:
            for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
                process.kill()
            self.process.join()
        out, err = (Path(path).read_text(errors="replace") for path in self._texts)
        for path in self._texts:
            os.unlink(path)
        return Done(code, out, err)


def howdeep(folder: Path, *argv: str, **env: str) -> Done:
    return Command(folder, *argv, **env).wait()


def completed(folder: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The same as what `subprocess.run` would have given."""
    done = howdeep(folder, *argv, **env)
    assert done.code is not None, f"{argv} took longer than {SECONDS:g} s\n{done.err[-3000:]}"
    return subprocess.CompletedProcess(argv, done.code, done.out, done.err)
