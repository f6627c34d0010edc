"""The `code` stage: checksums of what other stages depend on in howdeep itself.

DVC sees the sources of a clone where they lie. Outside of a clone they lie where Python keeps its packages, and above
`claims/` beside caches of Python: there each stage depends on a small file with the checksum of its sources instead.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import howdeep
from howdeep.errors import UserError, near
from howdeep.files import configs
from howdeep.files.folders import CODE, written_aside
from howdeep.files.project import Project
from howdeep.records.fingerprint import checksum
from howdeep.study import params

FOLDER = "code"
PREPARATION = ("data", "encoding", "files/spill.py", "files/tensors.py", "intake")
SOURCES = {  # below the package: as dvc.yaml of a clone declares them
    "pull": ("data/sources.py",),
    "prepare": PREPARATION,
    "plan": (
        *PREPARATION,
        *(
            "conf",
            "diagnostics",
            "study/matching.py",
            "nets",
            "stages/plan.py",
            "tasks",
            "training",
        ),
        "study/tuning.py",
    ),
    "evaluate": ("stages/evaluate.py", "nets", "tasks"),
    "inspect": ("stages/inspect.py", "inspection", "nets"),
    "compare": ("figures", "report", "results", "stages/compare.py"),
}
SOURCES_OF_CLAIMS = {
    "plan": (
        *PREPARATION,
        *("conf", "diagnostics", "nets", "study", "tasks", "training"),
        *("inspection/measures.py", "stages/plan.py", "stages/claim.py", "stages/estimands.py"),
    ),
    "judge": (
        *PREPARATION,
        *("diagnostics", "inspection", "nets", "tasks", "training", "study/claim.py", "study/claim_parts.py"),
        *("results/claims.py", "results/statistics.py"),
        *("stages/claim.py", "stages/estimands.py", "stages/evaluate.py", "stages/inspect.py"),
    ),
    "ledger": (
        *("figures", "report", "results", "study/claim.py", "study/claim_parts.py"),
        *("stages/claim.py", "stages/ledger.py"),
    ),
}


def note_code(project: Project) -> None:
    """Writes code/: a file for each stage of the study, and one for the YAML of each data set, wherever it lies.

    Raises:
        UserError: params.yaml cannot be read, or names a data set without a YAML.
    """
    known = configs.options(project.conf, "data")
    for name in params.read(project.params).data:
        if name not in known:
            raise UserError(
                f"expected the names of data sets in the list `data` of params.yaml, got '{name}'{near(name, known)}"
            )
    files = configs.files(project.conf)
    data = {name: files[f"data/{name}.yaml"] for name in known}
    _write(project.root / FOLDER, SOURCES, configs.behind(project.conf), data)


def note_code_of_claims(project: Project) -> None:
    """Writes claims/code/: a file for each stage of a claim."""
    _write(project.claims / FOLDER, SOURCES_OF_CLAIMS, configs.behind(project.conf), {})


def _write(
    folder: Path, sources: Mapping[str, Sequence[str]], conf: Path | None, data: Mapping[str, Path]
) -> None:
    with written_aside(folder, CODE) as aside:
        for stage, places in sources.items():
            (aside / f"{stage}.txt").write_text(f"{_of_package(places, conf)}\n")
        for name, path in data.items():
            (aside / "data").mkdir(exist_ok=True)
            (aside / "data" / f"{name}.txt").write_text(f"{_of_bytes({name: path})}\n")


def _of_package(places: Sequence[str], conf: Path | None) -> str:
    """The checksum of files and folders of howdeep; no comment in a Python file changes it.

    Args:
        conf: what stands for conf/, wherever it lies; None: nothing.
    """
    home = Path(howdeep.__file__).parent
    roots = [conf if place == "conf" else home / place for place in places]
    paths = [(root, path) for root in roots if root for path in sorted(root.rglob("*")) or [root]]
    files = [(root, path) for root, path in paths if path.is_file() and path.parent.name != "__pycache__"]
    code = checksum(path for _, path in files if path.suffix == ".py")
    others = _of_bytes(
        {path.relative_to(root.parent).as_posix(): path for root, path in files if path.suffix != ".py"}
    )
    return hashlib.sha256(f"{code}{others}".encode()).hexdigest()


def _of_bytes(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in files.items():
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
