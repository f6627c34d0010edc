"""The `howdeep` command. Imports late: `--help` must not wait for torch."""

import argparse
import atexit
import gc
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout, suppress

from howdeep import completion
from howdeep.arguments import parser
from howdeep.errors import Stopped, UserError, line, of_place
from howdeep.names import check_name
from howdeep.processes.garbage import collect_seldom

RESTARTED = "HOWDEEP_RESTARTED"  # with the source of this folder


def script() -> int:
    """The command as a process of its own, which starts and ends without searching torch for garbage."""
    collect_seldom()
    atexit.register(gc.freeze)
    _one_thread()
    try:
        _run_own_source()
    except UserError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return _stopped(signal.SIGINT)
    if "DVC_STAGE" in os.environ:  # one of many commands: see `warm`
        try:
            from howdeep import warm  # Ctrl-C may come while it is imported

            code = warm.call(sys.argv[1:], main)
        except (Stopped, KeyboardInterrupt) as stopped:
            return _stopped(stopped.signum if isinstance(stopped, Stopped) else signal.SIGINT)
        if code is not None:
            return code
    return main()


def _run_own_source() -> None:
    """Starts this command again with the source of the project in which it was typed, where another one is installed.

    An install belongs to one folder. `dvc exp run --temp` and `--queue` run an experiment in another one, as are a
    second clone and a worktree: its results are kept beside its source, which must be what ran.

    Raises:
        UserError: Python imports another one all the same.
    """
    from howdeep.files import project

    try:
        here = project.find()
        if not project.has_other_source(here):
            return
    except (UserError, OSError):  # no project; the command says so, where it needs one
        return
    source = str(here.source)
    if os.environ.get(RESTARTED) == source:
        raise UserError(
            f"expected Python to import this project's own {source}/howdeep, got {os.path.dirname(__file__)}: install "
            f"this project, `pip install -e {here.root}`"
        )
    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    again = [sys.executable, "-m", "howdeep", *sys.argv[1:]]
    os.execve(sys.executable, again, {**os.environ, "PYTHONPATH": path, RESTARTED: source})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code is 0, 1 for a mistake, 2 for a wrong command line, 128 + signal if stopped."""
    argv = list(sys.argv[1:] if argv is None else argv)
    _one_thread()
    try:
        return _run(argv)
    except (Stopped, KeyboardInterrupt) as stopped:
        return _stopped(stopped.signum if isinstance(stopped, Stopped) else signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has gone, as in `howdeep --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if stopped := _stop_asked():  # in whose place another library's cleanup raised this
            return _stopped(stopped.signum)
        if isinstance(error, OSError):
            error = of_place(error) or error
        if not isinstance(error, UserError):
            raise error
        return _complain(str(error))


def _one_thread() -> None:
    """One thread a process, decided before numpy and torch are imported; also what makes forking safe."""
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def _complain(message: str) -> int:
    sys.stderr.write(f"howdeep: {line(message)}\n")  # in one piece: others may write too
    return 1


def _stop_asked() -> Stopped | None:
    from howdeep.processes.signals import stopping

    return stopping()


def _stopped(signum: int) -> int:
    from howdeep.processes.signals import stop_no_more

    stop_no_more()
    _complain("stopped; finished runs are kept, and the same command goes on from here")
    return 128 + signum


def _run(argv: list[str]) -> int:
    if argv[:1] == ["train"]:
        return _train(argv[1:])
    top = parser()
    args = top.parse_args(argv)
    if args.version:
        from importlib.metadata import version

        print(f"howdeep {version('howdeep')}")
        return 0
    if args.command is None:
        top.print_help()
        return 2
    return COMMANDS[args.command](args) or 0


def _train(overrides: list[str]) -> int:
    if any(_is_shell_completion(word) for word in overrides):
        raise UserError(
            "Hydra's --shell-completion knows nothing of the word train: write `howdeep completion bash`"
        )
    from howdeep.runs.job import main as train

    return train(overrides)


def _is_shell_completion(word: str) -> bool:
    """Whether Hydra takes a word for this option: any beginning that no other one has will do."""
    return word in ("-s", "-sc") or (word.startswith("--s") and "--shell-completion".startswith(word))


def _data(where: str) -> Callable[[argparse.Namespace], None]:
    """A stage of a data set; `where` its function is, as 'pull:pull' in `howdeep.stages`."""

    def run(args: argparse.Namespace) -> None:
        from howdeep.files import project
        from howdeep.processes import signals

        here = project.find()
        signals.stop_on_signals()
        overrides = [
            f"data={_of_stage(word[5:])}" if word.startswith("data=") else word for word in args.overrides
        ]
        _late(where)(overrides, here)

    return run


def _entry(where: str, folder: str) -> Callable[[argparse.Namespace], None]:
    """A stage of an entry or a claim, of which one at a time writes its folder."""

    def run(args: argparse.Namespace) -> None:
        from howdeep.files import project
        from howdeep.processes import dvc, locks, signals

        here, name = project.find(), check_name(_of_stage(args.entry), "an entry")
        stage = where.partition(":")[0]
        signals.stop_on_signals()
        with dvc.stop_with_dvc(), locks.only_writer(here.lock(stage, name), f"{folder}/{name}"):
            _late(where)(name, here, *([args.workers] if "workers" in args else []))

    return run


def _show_claim(args: argparse.Namespace) -> None:
    from howdeep.files import project

    print(_late("ledger:show")(args.entry, project.find()), end="")


def _stage(where: str) -> Callable[[argparse.Namespace], None]:
    """A stage of the whole study."""

    def run(_args: argparse.Namespace) -> None:
        from howdeep.files import project
        from howdeep.processes import dvc, signals

        signals.stop_on_signals()
        with dvc.stop_with_dvc():
            _late(where)(project.find())

    return run


def _late(where: str) -> Callable[..., object]:
    """A function of `howdeep.stages`, imported now: most commands need neither torch nor pandas."""
    from pkgutil import resolve_name

    return resolve_name(f"howdeep.stages.{where}")


def _of_stage(word: str) -> str:
    """The name alone: dvc.yaml gives 'train@digits-mlp', which is in DVC_STAGE: no shell reads a name."""
    return word.rpartition("@")[2]


def _compare(args: argparse.Namespace) -> None:
    if args.against is None and not args.replicate:
        return _stage("compare:compare")(args)
    from howdeep.files import project

    here = project.find()
    if args.against is not None:
        from howdeep.stages.against import against

        print(against(args.against, here.root), end="")
    else:
        from howdeep.processes import signals
        from howdeep.stages.replicate import replicate

        signals.stop_on_signals()
        print(replicate(here), end="")


def _sync(args: argparse.Namespace) -> None:
    from howdeep.files import project
    from howdeep.processes import dvc, signals

    signals.stop_on_signals()
    with dvc.stop_with_dvc():
        _late("sync:sync")(project.find(), args.take_over)


def _repair(args: argparse.Namespace) -> None:
    from howdeep.files import dvc_state, project

    dvc_state.repair(project.find())


def _completion(args: argparse.Namespace) -> None:
    if not args.words:
        return print(completion.SCRIPTS[args.shell], end="")
    words = completion.words_of(args.shell, args.words)
    for candidate in completion.candidates(words, ["train", *COMMANDS], _options):
        print(candidate)


def _options(command: str) -> list[str]:
    """The options of a command, as its help names them."""
    with redirect_stdout(io.StringIO()) as help_, suppress(SystemExit):
        parser().parse_args([command, "--help"])
    return re.findall(r"(?<!\S)--[a-z-]+", help_.getvalue())


def _ui(args: argparse.Namespace) -> int:
    from howdeep.files import project
    from howdeep.tracking import ui

    return ui.serve(project.find(), args.port)


def _init(args: argparse.Namespace) -> int:
    from pathlib import Path

    from howdeep.stages.init import Asked, init

    own = {name: value for name, value in vars(args).items() if name in Asked._fields}
    missing = [word for word in args.missing.split(",") if word]
    init(Asked(**own | {"folder": Path(args.folder), "data": Path(args.data), "missing": missing}))
    return 0


def _predict(args: argparse.Namespace) -> None:
    from howdeep.deployment.predict import predict
    from howdeep.processes import signals

    signals.stop_on_signals()
    predict(args.model, args.inputs, args.output, ensemble=args.ensemble)


def _export(args: argparse.Namespace) -> None:
    from howdeep.deployment.export import export

    export(args.model, args.format, args.output, args.opset)


def _explain(args: argparse.Namespace) -> None:
    from howdeep.deployment.explain import explain

    explain(args.model, args.inputs, args.output)


def _sample(args: argparse.Namespace) -> None:
    from howdeep.deployment.sample import sample

    sample(
        args.model,
        args.n,
        args.seed,
        temperature=args.temperature,
        length=args.length,
        prompt=args.prompt,
        output=args.output,
    )


def _serve(args: argparse.Namespace) -> int:
    from howdeep.deployment.serve import serve

    return serve(args.model, args.port)


def _worker(args: argparse.Namespace) -> int:
    from pathlib import Path

    from howdeep.cluster import address, start

    of = address.parsed(args.address, args.security or os.environ.get(address.SECURITY), "ADDRESS")
    cache = Path(args.cache) if args.cache else None
    return start.worker(of, args.threads, args.name, cache, gpu=args.gpu)


def _cluster(args: argparse.Namespace) -> int:
    from pathlib import Path

    from howdeep.cluster import start

    file = Path(args.security) if args.security else None
    return start.up(args.local, args.host, args.port, file, start.slurm_options(args.slurm))


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "init": _init,
    "predict": _predict,
    "export": _export,
    "explain": _explain,
    "sample": _sample,
    "serve": _serve,
    "register": _stage("register:register"),
    "worker": _worker,
    "cluster": _cluster,
    "code": _stage("code:note_code"),
    "pull": _data("pull:pull"),
    "prepare": _data("prepare:prepare"),
    "plan": _stage("plan:plan"),
    "tune-entry": _entry("tune:tune_entry", "tuned"),
    "train-entry": _entry("train:train_entry", "runs"),
    "evaluate": _stage("evaluate:evaluate"),
    "inspect": _stage("inspect:inspect"),
    "claim": _show_claim,
    "claim-code": _stage("code:note_code_of_claims"),
    "claim-plan": _entry("claim:plan_claim", "claims"),
    "claim-tune": _entry("claim:tune_claim", "claims"),
    "claim-train": _entry("claim:train_claim", "claims"),
    "claim-judge": _entry("claim:judge_claim", "claims"),
    "ledger": _stage("ledger:ledger"),
    "compare": _compare,
    "report": _stage("compare:report"),
    "sync": _sync,
    "repair": _repair,
    "completion": _completion,
    "ui": _ui,
}
