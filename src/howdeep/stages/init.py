"""`howdeep init`: a project out of somebody's own data, in which every guess stands written."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import OmegaConf

from howdeep.errors import UserError, near
from howdeep.files.project import is_project
from howdeep.names import LONGEST, is_name
from howdeep.processes.workers import cores
from howdeep.stages.init_images import propose_images
from howdeep.stages.init_series import propose_series
from howdeep.stages.init_table import propose_table
from howdeep.stages.init_text import propose_text
from howdeep.stages.proposals import TEST, VALIDATION, Asked, Proposal, file_of

PROPOSE = {"table": propose_table, "series": propose_series, "images": propose_images, "text": propose_text}
DEPTHS, SEEDS = (1, 2, 4, 8), 10
OURS = ("in_shape", "context", "vocabulary", "length", "steps", "out_features")  # keys that refer to others
NO_TEXT = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")  # to YAML, without quotes
SOME_TEXT = 1000  # bytes
USUAL = 25  # epochs after which patience has ended most trainings
STEPS = 1500  # of a training, about: small data are shown more often
BATCHES = (
    (1_000_000, 1024),
    (100_000, 256),
    (2000, 64),
    (0, 32),
)  # training examples at least, and size of a batch
TEMPLATES = {"pipeline.yaml": "dvc.yaml", "gitignore": ".gitignore", "readme.md": "README.md"}
# What may be there before, in a repository that was begun.
SETTLED = (".git", ".gitignore", ".gitattributes", ".dvc", ".dvcignore", "LICENSE", ".venv")


def init(asked: Asked) -> None:
    """Makes the project, or with `dry_run` prints what it would hold.

    Raises:
        UserError: a file that is no such data, a folder that holds something already; nothing is left behind then.
    """
    check_folder(asked.folder)
    kind = kind_of(asked)
    name = name_of(asked)
    if not asked.data.exists():
        raise UserError(f"expected a file or folder as --data, found none at {asked.data}")
    proposal = PROPOSE[kind](asked, name)
    print("\n".join(proposal.lines))
    if asked.dry_run:
        print(f"\nNothing was written: without --dry-run this makes {asked.folder}")
        return
    made = _write(asked, proposal)
    print("\n" + _next(asked.folder, proposal, made))


def check_folder(folder: Path) -> None:
    """Raises `UserError` unless a project can be made there."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"expected a folder, or nothing, at {folder}, found a file: name another one")
    there = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if is_project(folder):
        own = ", ".join(sorted(path.stem for path in (folder / "conf/data").glob("*.yaml"))) or "none"
        raise UserError(
            f"{folder} is a project already (data sets of its own: {own}), and nothing there is overwritten: change "
            "its params.yaml and conf/data/, or name another folder"
        )
    if others := [name for name in there if name not in SETTLED]:
        raise UserError(
            f"expected an empty folder at {folder}, found {', '.join(others[:3])}"
            f"{f' and {len(others) - 3} more' if len(others) > 3 else ''}: name another one"
        )


def kind_of(asked: Asked) -> str:
    if asked.kind:
        if asked.kind not in PROPOSE:
            raise UserError(
                f"--kind must be one of {', '.join(PROPOSE)}, got '{asked.kind}'{near(asked.kind, PROPOSE)}"
            )
        return asked.kind
    if not asked.data.exists():
        raise UserError(f"expected a file or folder as --data, found none at {asked.data}")
    if asked.data.is_dir():
        files = [path for path in asked.data.rglob("*") if path.is_file()]
        texts = [path for path in files if path.suffix.lower() == ".txt"]
        whole = sum(path.stat().st_size for path in texts)  # a note or two beside images are no text
        return "text" if 2 * len(texts) > len(files) and whole > SOME_TEXT else "images"
    return "text" if asked.data.suffix.lower() in (".txt", ".md") else "table"


def name_of(asked: Asked) -> str:
    """The name of the data set: what was said, or the file's as far as it is a name."""
    if asked.name is not None:
        if not is_name(asked.name):
            raise UserError(f"--name must be letters without accents, digits, _ . or -, got '{asked.name}'")
        return asked.name
    stem = asked.data.name.split(".")[0]
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in stem).lstrip("-")[
        :LONGEST
    ]
    if not name.strip("_"):
        raise UserError(
            f"expected a file whose name can be that of a data set, got {asked.data.name}: add --name NAME"
        )
    return name


def _write(asked: Asked, proposal: Proposal) -> list[str]:
    """Writes the project aside and brings it to its place in the end; says what else was done."""
    folder = asked.folder.resolve()  # it may be "."
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
        aside = Path(made) / "project"  # which, unlike a temporary folder, everybody may read
        (aside / "conf/data").mkdir(parents=True)
        (aside / "source").mkdir()
        if proposal.bring:
            proposal.config["sources"] = proposal.bring(aside / "source")
        else:
            shutil.copyfile(asked.data, aside / "source" / file_of(asked, proposal.name))
        (aside / f"conf/data/{proposal.name}.yaml").write_text(_data_yaml(proposal), encoding="utf-8")
        (aside / "params.yaml").write_text(_params_yaml(proposal), encoding="utf-8")
        for template, target in TEMPLATES.items():
            text = files("howdeep.project").joinpath(template).read_text(encoding="utf-8")
            (aside / target).write_text(text.replace("{{ name }}", proposal.name), encoding="utf-8")
        if not folder.exists():
            aside.rename(folder)  # whole: a kill leaves no half of it
            return _repositories(folder)
        for path in sorted(aside.iterdir()):
            target = folder / path.name
            if target.exists():  # a .gitignore of somebody's own
                path.write_text(
                    f"{target.read_text(encoding='utf-8').rstrip()}\n\n{path.read_text(encoding='utf-8')}"
                )
            path.replace(target)
    return _repositories(folder)


def _repositories(folder: Path) -> list[str]:
    """Makes repositories of git and of DVC where there are none; says which."""
    made = []
    if not shutil.which("git"):
        if not (folder / ".dvc").exists():
            _dvc_init(folder, "--no-scm")
            made.append("dvc init --no-scm, since there is no git")
        return made
    inside = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "--show-toplevel"],
        capture_output=True,
        text=True,
        check=False,
    )
    above = inside.returncode == 0 and Path(inside.stdout.strip()).resolve() != folder.resolve()
    if inside.returncode != 0:
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        made.append("git init")
    if not (folder / ".dvc").exists():
        options = ["--subdir"] if above else []
        _dvc_init(folder, *options)
        made.append(" ".join(["dvc init", *options]))
    return made


def _dvc_init(folder: Path, *options: str) -> None:
    command = [sys.executable, "-m", "dvc", "init", "--quiet", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def _data_yaml(proposal: Proposal) -> str:
    """conf/data/NAME.yaml: every column a line."""
    config = proposal.config
    head = (
        f"# howdeep train data={proposal.name}\n# Written by `howdeep init`; each guess is yours to change.\n"
    )
    lines = [head.rstrip("\n")]
    for key, value in config.items():
        if key == "prepare":
            lines.append("prepare:")
            for option, of in value.items():
                if option == "columns":
                    lines.append("  columns:")
                    lines += [f"    {_word(name)}: {_flow(_said(column))}" for name, column in of.items()]
                else:
                    lines.append(
                        f"  {option}: {_flow(of, ours=option in OURS)}{_note(proposal, f'prepare.{option}')}"
                    )
        elif key == "examples":
            lines.append("examples:")
            lines += [
                f"  {option}: {_flow(of, ours=option in OURS)}{_note(proposal, f'examples.{option}')}"
                for option, of in value.items()
            ]
        elif key == "defaults":
            lines += [
                "defaults:",
                *(
                    f"  - {_flow(of)}"
                    if isinstance(of, str)
                    else f"  - {next(iter(of))}: {next(iter(of.values()))}"
                    for of in value
                ),
            ]
        else:
            lines.append(f"{key}: {_flow(value, ours=key in OURS)}{_note(proposal, key)}")
    return "\n".join(lines) + "\n"


def _note(proposal: Proposal, option: str) -> str:
    return f"  # {proposal.notes[option]}" if option in proposal.notes else ""


def _said(column: dict[str, Any]) -> dict[str, Any]:
    """A column without what is so anyway."""
    usual = {"decimal": ".", "thousands": None, "missing": [""], "indicator": False}
    return {key: value for key, value in column.items() if key not in usual or value != usual[key]}


def _word(text: str) -> str:
    """A text in YAML: in quotes unless it is read as text without them."""
    if is_name(text) and not text[0].isdigit() and text.lower() not in NO_TEXT:
        return text
    return json.dumps(text, ensure_ascii=False)


def _flow(value: Any, *, ours: bool = False) -> str:
    """YAML in one line: JSON is YAML; words that are plain stay plain.

    Args:
        ours: whether ${...} refers to another key, as what is written here does; `guessing` lets no other in.
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(of)}" for key, of in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(of, ours=ours) for of in value) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    if ours and value.startswith("${"):
        return json.dumps(value)
    return _word(value)


def _shown(proposal: Proposal) -> tuple[int, int, int]:
    """Training examples, how many are a batch, and how often they are shown."""
    n_train = round(proposal.rows * (1 - TEST) * (1 - VALIDATION))
    batch = next(size for least, size in BATCHES if n_train >= least)
    return n_train, batch, min(100, max(10, round(STEPS / max(1, n_train // batch))))


def _params_yaml(proposal: Proposal) -> str:
    _, batch, epochs = _shown(proposal)
    score, margin, reason = proposal.margin
    entries = "".join(
        f"  {proposal.name}-{model}:\n    data: {proposal.name}\n    model: {model}\n    task: {proposal.task}\n"
        f"    overrides: {{batch_size: {batch}, trainer: {{max_epochs: {epochs}}}}}\n"
        for model in proposal.models
    )
    return (
        "# The study. `dvc repro` trains every entry at every depth with every seed, and writes the report.\n"
        f"study: {proposal.name}\n\n"
        f"data: [{proposal.name}]\n\n"
        f"depths: {list(DEPTHS)}\n"
        "matching: [width]                   # what depths have in common: width, parameters, flops\n"
        f"seeds: {list(range(SEEDS))}   # with fewer than ten, few tests can find anything\n"
        "split: seeds                        # what each seed draws anew. fixed: nothing; all: the test examples too\n"
        "patience: 8                         # epochs without a better validation loss after which a run ends\n\n"
        "optimizer: adam\nschedule: constant\ntrainer: cpu\n\n"
        "# The smallest difference that matters, declared before anything is trained: within it, depths are equal.\n"
        f"margins:\n  {score}:\n    margin: {margin}\n    reason: {reason}\n\n"
        "# The learning rate of each run, by as many trials for every depth. `tune: null` trains with the default.\n"
        "tune:\n  trials: 3\n  epochs: [0.1, 0.2]\n  optimizers:\n    adam: [1.0e-3, 5.0e-2]\n\n"
        f"entries:\n{entries}"
    )


def _seconds(model: str, config: Mapping[str, Any], batch: int) -> float:
    """What a batch costs one core, the mean over depths, as measured of networks of the usual width."""
    shape = list(OmegaConf.create({"data": dict(config)}).data.in_shape)
    if model == "gru":
        return 4.5e-4 * shape[0]
    if model == "cnn":
        return 3e-7 * batch * math.prod(shape[-2:])
    return 8e-4 + 4.5e-6 * batch


def _next(folder: Path, proposal: Proposal, made: Sequence[str]) -> str:
    n_train, batch, epochs = _shown(proposal)
    batches = 1.5 * min(epochs, USUAL) * n_train / batch  # half of them again for trials
    training = sum(max(1.5, batches * _seconds(model, proposal.config, batch)) for model in proposal.models)
    seconds = 60 + len(DEPTHS) * SEEDS * (2.5 * len(proposal.models) + training) / cores()
    minutes = max(1, round(seconds / 60))
    about = f"{minutes} minutes" if minutes < 120 else f"{round(seconds / 3600)} hours"
    done = f" ({', '.join(made)})" if made else ""
    return (
        f"Made {folder}{done}. Look at conf/data/{proposal.name}.yaml, then:\n"
        f"  cd {folder}\n"
        f"  dvc repro    # about {about} on {cores()} cores\n"
        "The answer is then in reports/index.html.\n"
    )
