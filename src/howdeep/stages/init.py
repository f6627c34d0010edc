"""`howdeep init`: a project out of somebody's own data, in which every guess stands written."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from howdeep.errors import UserError, near
from howdeep.files.configs import options
from howdeep.files.project import is_project
from howdeep.intake import guessing, leaks, steps
from howdeep.intake.columns import Where, declared
from howdeep.intake.guessing import Guess
from howdeep.intake.reading import SEPARATORS, Sheet, encoding_of, is_parquet, read, separator_of
from howdeep.names import LONGEST, is_name
from howdeep.processes.workers import cores
from howdeep.stages.init_images import propose_images
from howdeep.stages.proposals import FEW, SHAKY, TEST, VALIDATION, Asked, Proposal

KINDS = ("table", "series", "images", "text")
DEPTHS, SEEDS = (1, 2, 4, 8), 10
STEPS = 1500  # of a training, about: small data are shown more often
TEMPLATES = {"pipeline.yaml": "dvc.yaml", "gitignore": ".gitignore", "readme.md": "README.md"}
SETTLED = (
    ".git",
    ".gitignore",
    ".gitattributes",
    ".dvc",
    ".dvcignore",
    "LICENSE",
    ".venv",
)  # may be there before


def init(asked: Asked) -> None:
    """Makes the project, or with `dry_run` prints what it would hold.

    Raises:
        UserError: a file that is no such data, a folder that holds something already; nothing is left behind then.
    """
    check_folder(asked.folder)
    kind = kind_of(asked)
    name = name_of(asked)
    if kind == "text":
        raise UserError(
            f"{asked.data} looks like {kind}, which `howdeep init` does not read yet: give it a table"
        )
    propose = {"table": _table, "series": _series, "images": propose_images}[kind]
    proposal = propose(asked, name)
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
        own = ", ".join(options(folder / "conf", "data")) or "none"
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
        if asked.kind not in KINDS:
            raise UserError(
                f"--kind must be one of {', '.join(KINDS)}, got '{asked.kind}'{near(asked.kind, KINDS)}"
            )
        return asked.kind
    if not asked.data.exists():
        raise UserError(f"expected a file or folder as --data, found none at {asked.data}")
    if asked.data.is_dir():
        return "images"
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


def _read(asked: Asked) -> tuple[Sheet, dict[str, Any], list[str]]:
    """The table, how it is read, and what is told of that."""
    path = asked.data
    if path.is_dir():
        raise UserError(f"expected a file with a table at {path}, found a folder")
    if not path.exists():
        raise UserError(f"expected a file or folder as --data, found none at {path}")
    if is_parquet(path):
        sheet = read(path, "utf-8", ",")
        return (
            sheet,
            {"encoding": "utf-8", "separator": ","},
            [f"{path.name}: {len(sheet.rows)} rows, Parquet"],
        )
    encoding, because = encoding_of(path)
    separator, why = separator_of(path, encoding)
    sheet = read(path, encoding, separator)
    words = f"{SEPARATORS[separator]}s"
    told = (
        f"{path.name}: {len(sheet.rows)} rows; encoding {encoding} ({because}); separated by {words} ({why})"
    )
    return sheet, {"encoding": encoding, "separator": separator}, [told]


def _table(asked: Asked, name: str) -> Proposal:
    sheet, reading, lines = _read(asked)
    file = asked.data.name
    targets, why = guessing.target_of(sheet, asked.target, file)
    if asked.task not in (None, "classification", "regression"):
        raise UserError(f"--task must be classification or regression, got '{asked.task}'")
    for option, column in (("--group", asked.group), ("--time", asked.time)):
        if column is not None and column not in sheet.names:
            raise UserError(
                f"expected a column of {file} as {option}, got '{column}'{near(column, sheet.names)}"
            )
    if asked.group and asked.time:
        raise UserError("expected one of --group and --time, got both: rows are split in one way")
    found = guessing.guess(sheet, targets, file, task=asked.task, missing=asked.missing)
    if asked.group and found[asked.group].kind != "excluded":
        found[asked.group] = guessing.left_out("rows are split by it", found[asked.group].missing)
    if asked.time and found[asked.time].kind not in ("date", "number"):
        raise UserError(
            f"{file}: expected dates or numbers in --time '{asked.time}', got {found[asked.time].why}"
        )
    lines.append(f"told: {', '.join(targets)} ({why}; {found[targets[0]].why})")
    lines += ["", *columns_told(found)]
    _check_rows(sheet, targets, found, asked, file)
    inputs = {of: guess for of, guess in found.items() if guess.kind != "excluded" and of not in targets}
    if not inputs:
        raise UserError(
            f"{file}: expected a column that networks can learn from, but all are left out: see --dry-run"
        )
    classes = found[targets[0]].column.get("classes")
    task = "classification" if classes else "regression"
    split = "group" if asked.group else "time" if asked.time else "stratified" if classes else "random"
    by = asked.group or asked.time
    lines += ["", f"split: {TOLD[split].format(by=by)}"]
    if (rows := round(len(sheet.rows) * TEST)) < SHAKY:
        lines.append(f"beware: {rows} test rows are few: only large differences between depths will be found")
    lines += [f"beware: {danger}" for danger in leaks.found(sheet, found, targets, split, by)]
    columns = {of: guess.column for of, guess in found.items()}
    width = sum(column.width for column in declared(columns, "columns").values())
    prepare = {
        "_target_": "howdeep.data.own_table.prepare", "_partial_": True, "file": file, **reading,
        "columns": columns, "split": split, **({"by": by} if by else {}), "test_fraction": TEST,
        **({} if split == "time" else {"seed": 0}),
        **({"drop_missing_targets": True} if asked.drop_missing_targets else {}),
    }  # fmt: skip
    how = {"group": "own_table.grouped", "time": "own_table.in_order"}.get(split, "examples.labelled")
    examples = {
        "_target_": f"howdeep.data.{how}", "_partial_": True, "in_shape": "${data.in_shape}",
        "validation_fraction": VALIDATION, **({} if split == "time" else {"seed": 0}),
    }  # fmt: skip
    config = _config(asked, name, task, prepare, examples, [width], len(classes or targets))
    margin = (
        ("accuracy", 0.01, "one right answer of a hundred; say what matters to you")
        if classes
        else ("mse", 0.02, "a fiftieth of the variance of the target; say what matters to you")
    )
    return Proposal(name, lines, config, task, ("mlp",), len(sheet.rows), margin)


TOLD = {
    "stratified": "a fifth of the rows are the test, at random, class by class (--group and --time split otherwise)",
    "random": "a fifth of the rows are the test, at random (--group and --time split otherwise)",
    "group": "all rows with one value of '{by}' are on one side; a fifth of the rows are the test",
    "time": "the last fifth of the rows, by '{by}', is the test",
}


def _check_rows(
    sheet: Sheet, targets: Sequence[str], found: dict[str, Guess], asked: Asked, file: str
) -> None:
    missing = found[targets[0]].missing
    if missing and not asked.drop_missing_targets:
        raise UserError(
            f"{file}, column '{targets[0]}': expected a target in every row, but {missing} of {len(sheet.rows)} have "
            "none: write them, or add --drop-missing-targets"
        )
    if (rows := len(sheet.rows) - missing) * TEST < FEW:
        raise UserError(
            f"{file}: expected {round(FEW / TEST)} rows at least, for a test of {FEW}, got {rows}"
        )


def columns_told(found: dict[str, Guess]) -> list[str]:
    """A table of the columns for a terminal."""
    head = ("column", "taken for", "missing", "what happens", "why")
    rows = [
        (name, of.kind.replace("_", " "), str(of.missing or ""), of.happens, of.why)
        for name, of in found.items()
    ]
    widths = [min(30, max(len(row[place]) for row in (head, *rows))) for place in range(4)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in (head, *rows)
    ]


def _series(asked: Asked, name: str) -> Proposal:
    sheet, reading, lines = _read(asked)
    file = asked.data.name
    for option, columns in (("--target", asked.target), ("--time", [asked.time] if asked.time else [])):
        for column in columns:
            if column not in sheet.names:
                raise UserError(
                    f"expected a column of {file} as {option}, got '{column}'{near(column, sheet.names)}"
                )
    found = guessing.guess_series(sheet, asked.target, file, time=asked.time, missing=asked.missing)
    time = next((of for of, guess in found.items() if guess.kind == "date" or of == asked.time), None)
    columns = declared({of: guess.column for of, guess in found.items()}, "columns")
    told = "each row is a step"
    if time is not None:
        told = f"a step is {steps.of(sheet.column(time), columns[time], Where(file, time, sheet.lines))}, by '{time}'"
    targets = [of for of, guess in found.items() if guess.kind == "number_target"]
    lines += [f"told: the next {', '.join(targets)}; {told}", "", *columns_told(found)]
    past = round(len(sheet.rows) * (1 - TEST) * (1 - VALIDATION))
    context = min(24, past // 4)
    if context < 2 or len(sheet.rows) * TEST < FEW:
        raise UserError(
            f"{file}: expected {round(FEW / TEST)} steps at least, for a test of {FEW}, got {len(sheet.rows)}"
        )
    lines += ["", f"split: the last fifth of the steps is the test; networks see the {context} steps before"]
    prepare = {
        "_target_": "howdeep.data.own_series.prepare", "_partial_": True, "file": file, **reading,
        "columns": {of: guess.column for of, guess in found.items()}, "time": time, "test_fraction": TEST,
    }  # fmt: skip
    examples = {
        "_target_": "howdeep.data.examples.windows", "_partial_": True, "context": "${data.context}",
        "in_shape": "${data.in_shape}", "validation_fraction": VALIDATION,
    }  # fmt: skip
    config = _config(
        asked, name, "forecasting", prepare, examples, ["${data.context}", len(targets)], len(targets)
    )
    config = {**config, "context": context}
    margin = ("mae", 0.02, "a fiftieth of the standard deviation of the series; say what matters to you")
    return Proposal(name, lines, config, "forecasting", ("mlp", "gru"), len(sheet.rows), margin)


def _config(
    asked: Asked,
    name: str,
    task: str,
    prepare: dict[str, Any],
    examples: dict[str, Any],
    in_shape: list[Any],
    out_features: int,
) -> dict[str, Any]:
    digest = hashlib.sha256(asked.data.read_bytes()).hexdigest()
    return {
        "defaults": [{"override /task@_global_.task": task}, "_self_"],
        "name": name,
        "sources": [{"file": asked.data.name, "local": f"source/{asked.data.name}", "sha256": digest}],
        "licence": "unknown",
        "homepage": "unknown",
        "prepare": prepare,
        "examples": examples,
        "in_shape": in_shape,
        "out_features": out_features,
    }


def _write(asked: Asked, proposal: Proposal) -> list[str]:
    """Writes the project aside and brings it to its place in the end; says what else was done."""
    folder = asked.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as made:
        aside = Path(made)
        (aside / "conf/data").mkdir(parents=True)
        (aside / "source").mkdir()
        if proposal.bring:
            proposal.config["sources"] = proposal.bring(aside / "source")
        else:
            shutil.copyfile(asked.data, aside / "source" / asked.data.name)
        (aside / f"conf/data/{proposal.name}.yaml").write_text(_data_yaml(proposal), encoding="utf-8")
        (aside / "params.yaml").write_text(_params_yaml(proposal), encoding="utf-8")
        for template, target in TEMPLATES.items():
            text = files("howdeep.project").joinpath(template).read_text(encoding="utf-8")
            (aside / target).write_text(text.replace("{{ name }}", proposal.name), encoding="utf-8")
        folder.mkdir(exist_ok=True)
        for path in sorted(aside.iterdir()):
            if not (folder / path.name).exists():  # a .gitignore that is there stays
                path.rename(folder / path.name)
    return _repositories(folder)


def _repositories(folder: Path) -> list[str]:
    made = []
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
        words = ["init", "--quiet", *(["--subdir"] if above else [])]
        subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, check=True, capture_output=True)
        made.append(f"dvc {' '.join(words[:1] + words[2:])}")
    return made


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
                    lines += [f"    {_flow(name)}: {_flow(_said(column))}" for name, column in of.items()]
                else:
                    lines.append(f"  {option}: {_flow(of)}{_note(proposal, f'prepare.{option}')}")
        elif key == "examples":
            lines.append("examples:")
            lines += [f"  {option}: {_flow(of)}" for option, of in value.items()]
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
            lines.append(f"{key}: {_flow(value)}{_note(proposal, key)}")
    return "\n".join(lines) + "\n"


def _note(proposal: Proposal, option: str) -> str:
    return f"  # {proposal.notes[option]}" if option in proposal.notes else ""


def _said(column: dict[str, Any]) -> dict[str, Any]:
    """A column without what is so anyway."""
    usual = {"decimal": ".", "thousands": None, "missing": [""], "indicator": False}
    return {key: value for key, value in column.items() if key not in usual or value != usual[key]}


def _flow(value: Any, *, inside: bool = False) -> str:
    """YAML in one line: JSON is YAML; words that are plain stay plain.

    Args:
        inside: of brackets, where ${...} is plain no longer.
    """
    if isinstance(value, str) and value.startswith("${") and not inside:
        return value
    if (
        isinstance(value, str)
        and is_name(value)
        and not value[0].isdigit()
        and value.lower() not in ("null", "true", "false", "yes", "no", "on", "off", "y", "n")
    ):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(of, inside=True)}" for key, of in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(of, inside=True) for of in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _params_yaml(proposal: Proposal) -> str:
    n_train = round(proposal.rows * (1 - TEST) * (1 - VALIDATION))
    batch = 64 if n_train >= 2000 else 32
    epochs = min(100, max(10, round(STEPS / max(1, n_train // batch))))
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


def _next(folder: Path, proposal: Proposal, made: Sequence[str]) -> str:
    runs = len(DEPTHS) * SEEDS * len(proposal.models)
    seconds = 60 + runs * 4.0 / cores()
    done = f" ({', '.join(made)})" if made else ""
    return (
        f"Made {folder}{done}. Look at conf/data/{proposal.name}.yaml, then:\n"
        f"  cd {folder}\n"
        f"  dvc repro                     # about {max(1, round(seconds / 60))} minutes on {cores()} cores\n"
        "  open reports/index.html       # the answer\n"
    )
