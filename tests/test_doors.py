"""No code of howdeep reads pickle, builds any object from YAML, or runs a text."""

import re

import pytest

CODE = {
    r"weights_only\s*=\s*False": "reads pickle",
    r"\btorch\.load\((?!(?:.|\n){0,120}weights_only=True)": "reads pickle",
    r"\bc?[pP]ickle\.loads?\(": "reads pickle",
    r"\bUnpickler\b": "reads pickle",
    r"\b(joblib|dill|cloudpickle)\.loads?\b": "reads pickle",
    r"\bread_pickle\b": "reads pickle",
    r"allow_pickle\s*=\s*True": "reads pickle",
    r"\bserialization_format\s*=\s*[\"']pickle": "writes what must be read as pickle",
    r"\byaml\.(unsafe_|full_)?load(_all)?\((?![^)]*Safe)": "builds any object",
    r"(?<![\w.])eval\(": "runs text",
    r"(?<![\w.])exec\(": "runs text",
    r"\bshell\s*=\s*True": "runs a shell",
    r"\bos\.(system|popen)\(": "runs a shell",
}
# Where what comes is code anyway: jobs and answers between machines that have proved to know each other, as Dask itself
# sends them. Everything that lies in a file is read as data.
SENT = {"src/howdeep/cluster/parcels.py": {"Unpickler"}}


def doors_in(text: str) -> list[str]:
    return [
        f"line {text[: found.start()].count(chr(10)) + 1} {why}: {found[0]}"
        for pattern, why in CODE.items()
        for found in re.finditer(pattern, text)
    ]


def test_no_code_reads_pickle_or_runs_text(root):
    found = set()
    for path in sorted((root / "src").rglob("*.py")):
        name = str(path.relative_to(root))
        doors = doors_in(path.read_text())
        found |= {f"{name} {door}" for door in doors if door.rpartition(": ")[2] not in SENT.get(name, ())}
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, map_location='cpu', weights_only=False)", "torch.load(path)", "pickle.loads(content)",
        "joblib.load(path)", "np.load(path, allow_pickle=True)", "yaml.load(text)", "eval(text)", "exec(text)",
        "subprocess.run(text, shell=True)", "os.system(text)", "yaml.load(text, Loader=yaml.Loader)",
    ],
)  # fmt: skip
def test_the_search_for_such_code_finds_it(line):
    assert doors_in(line)


def test_the_search_for_such_code_lets_safe_lines_pass():
    for line in (
        "torch.load(path, weights_only=True)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "net.eval()",
    ):
        assert doors_in(line) == []
