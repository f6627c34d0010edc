"""The `howdeep` command as people type it: real processes, their output and exit codes.

Most are forked from a process that has made the imports.
"""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from howdeep.cli import main
from tests.amount import first
from tests.commands import completed as howdeep

pytestmark = pytest.mark.slow


@pytest.fixture
def clone(project, made, tmp_path) -> Path:
    """A folder to type commands in, with the data prepared."""
    shutil.copytree(project.root, tmp_path / "clone", ignore=shutil.ignore_patterns("scratch"))
    (tmp_path / "clone/mlflow.db").write_bytes(made)
    return tmp_path / "clone"


def typed(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """The command from its very start, with all that it imports."""
    return subprocess.run(
        [sys.executable, "-m", "howdeep", *args], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def own_signals():
    """Gives pytest its signal handlers back after a command has run in this process."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


SMALL = ("trainer.max_epochs=2", "train_examples=100", "tracking.uri=null")


def test_help_lists_every_command_and_imports_nothing_heavy(capsys):
    code = "import sys; from howdeep.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    commands = "train pull prepare train-entry evaluate inspect compare report sync ui"
    for command in commands.split():
        assert re.search(rf"^    {command}\s", done.stdout, re.MULTILINE)
    assert not {"torch", "numpy", "hydra", "mlflow", "pandas"} & set(done.stdout.splitlines()[-1].split())


def test_version(clone):
    from importlib.metadata import version

    assert typed(clone, "--version").stdout == f"howdeep {version('howdeep')}\n"


def test_train_says_what_came_out_and_leaves_a_record(clone):
    done = typed(
        clone, "train", "model=lstm", "data=sunspots", "model.depth=2", "optimizer=rmsprop", "seed=3", *SMALL
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("lstm depth 2 on sunspots, seed 3: val loss ")
    assert done.stdout.count("\n") == 1
    record = json.loads((clone / done.stdout.split(" -> ")[1].strip() / "record.json").read_text())
    assert (record["model"], record["depth"], record["seed"], record["state"]) == ("lstm", 2, 3, "finished")
    assert record["config"]["optimizer"]["_target_"] == "torch.optim.RMSprop"


def test_train_pulls_and_prepares_what_is_not_there(clone):
    shutil.rmtree(clone / "data")
    assert howdeep(clone, "train", *SMALL).returncode == 0
    assert (clone / "data/prepared/digits/card.json").exists()


def test_train_never_opens_the_test_examples(clone):
    (clone / "data/prepared/digits/test.safetensors").unlink()
    assert howdeep(clone, "train", *SMALL).returncode == 0


def test_multirun_trains_every_combination(clone):
    done = howdeep(clone, "train", "-m", "model.depth=1,2", "seed=0,1", *SMALL)
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in clone.glob("multirun/**/record.json")]
    assert sorted((r["depth"], r["seed"]) for r in records) == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_the_option_of_a_multirun_stands_anywhere(clone):
    done = howdeep(clone, "train", "seed=0", "-m", "model.depth=1,2", *SMALL)
    assert done.returncode == 0, done.stderr
    assert len(list(clone.glob("multirun/**/record.json"))) == 2


def test_the_same_command_gives_the_same_bits(clone):
    for _ in range(2):
        assert howdeep(clone, "train", *SMALL).returncode == 0
    one, other = (path.read_bytes() for path in clone.glob("outputs/**/weights.safetensors"))
    assert one == other


LONG = "x" * 300  # signs, more than the name of a file can have
MISTAKES = [
    (["train", "data=digit"], "got data=digit, did you mean 'digits'?"),
    (["train", "model=mpl"], "did you mean 'mlp'?"),
    (["train", "-m", "model=mpl,lstm"], "did you mean 'mlp'?"),
    (["train", "optimizer=adm"], "did you mean 'adam'?"),
    (["train", "model.dpeth=2"], "did you mean 'model.depth'?"),
    (["train", "model.depth=0"], "depth must be a whole number of at least 1, got 0"),
    (["train", "model.depth=two"], "got 'two'"),
    (["train", "-m", "model.depth=1,-1", "trainer.max_epochs=1"], "got -1"),
    (["train", "model=lstm"], "lstm reads sequences"),
    (["train", "model.depth=1,2,4"], "got 'model.depth=1,2,4': add -m to train with each of them"),
    (["train", "optimizer=sgd,rmsprop", "-m", "optimizer.momentum=0.9"], "write ++optimizer.momentum=0.9"),
    (["train", "resume=runs/depth=1/x.ckpt"], """as in 'resume="runs/depth=1/x.ckpt"'"""),
    (["train", "-m", "hydra.sweeper._target_=x"], "expected hydra/sweeper and hydra/launcher to name files"),
    (["train", "+trainer.num_nodes=2"], "trainer.num_nodes must not be there, got 2"),
    (["train", "model._target_=null"], "model._target_ must be a class of a file in howdeep/nets"),
    (["train", "-m", "task._target_=x"], "task._target_ must be a class of a file in howdeep/tasks"),
    (["train", "-m", "--cfg", "job"], "expected one of Hydra's options at a time"),
    (["train", "optimizer.lr=0"], "optimizer.lr must be a number above 0, got 0"),
    (["train", "resume=nowhere.ckpt"], "found no such file"),
    (["train", "tracking.uri=foo://bar"], "cannot be opened"),
    (["train-entry", "digit-mlp"], "did you mean 'digits-mlp'?"),
    (["pull", "data=mnst"], "did you mean 'mnist'?"),
    (["pull", "data=mnist", "data.mirror=/nowhere"], "expected a file at /nowhere/mnist/"),
    (["prepare", "data=mnist"], "run `howdeep pull data=mnist`"),
    (["evaluate"], "expected a run's record at"),
    (["inspect"], "expected a run's record at"),
    *(
        (words, f"got {'x' * 60}... (File name too long)")
        for words in (
            ["predict", LONG, LONG],
            ["export", LONG, "-o", "x.onnx"],
            ["serve", LONG],
            ["explain", LONG, LONG],
            ["sample", LONG],
            ["init", LONG, "--data", "README.md"],
            ["init", "new", "--data", LONG],
        )
    ),
]


@pytest.mark.parametrize(
    ("args", "words"), MISTAKES, ids=lambda x: " ".join(x) if isinstance(x, list) else ""
)
def test_a_mistake_is_one_line_and_exit_code_1(clone, own_signals, monkeypatch, capsys, args, words):
    before = set(clone.glob("runs/**/*"))
    monkeypatch.chdir(clone)
    assert main(args) == 1
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if "[HYDRA]" not in line]
    assert len(lines) == 1, err
    assert lines[0].startswith("howdeep: ")
    assert words in lines[0]
    assert set(clone.glob("runs/**/*")) == before


def test_a_command_that_does_not_exist_is_refused_with_the_list(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["trian"])
    assert "invalid choice: 'trian'" in capsys.readouterr().err


def test_outside_of_a_project_the_line_says_so(tmp_path):
    done = typed(tmp_path, "train")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"expected params.yaml and a folder conf/ in {tmp_path}" in done.stderr
    assert "a clone of howdeep" in done.stderr
    assert "`howdeep init FOLDER --data FILE`" in done.stderr


@pytest.mark.parametrize("content", [b"", b"garbage", None], ids=["empty", "corrupt", "truncated"])
def test_a_broken_prepared_file_is_one_line(clone, content):
    path = clone / "data/prepared/digits/train.safetensors"
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    done = howdeep(clone, "train", *SMALL)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "train.safetensors" in done.stderr
    assert "howdeep prepare data=digits" in done.stderr


def test_a_diverged_run_is_a_failed_run_with_a_record(clone):
    done = howdeep(clone, "train", "optimizer=sgd", "optimizer.lr=1e9", "model.normalisation=none", *SMALL)
    assert done.returncode == 1
    assert "diverged" in done.stderr
    assert "became" in done.stderr
    (record,) = clone.glob("outputs/**/record.json")
    assert json.loads(record.read_text())["state"] == "diverged"
    assert not list(clone.glob("outputs/**/weights.safetensors"))


def test_an_unwritable_place_is_one_line(clone):
    (clone / "scratch").write_text("a file where a folder should be")
    done = howdeep(clone, "train", *SMALL)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "scratch" in done.stderr


@pytest.fixture
def tiny_disk(tmp_path):
    """A real file system of 300 kB."""
    place = tmp_path / "tiny"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", place], capture_output=True
    ).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_is_one_line_and_leaves_no_half_result(project, tiny_disk):
    shutil.copytree(project.conf, tiny_disk / "conf")
    shutil.copy(project.params, tiny_disk)
    done = typed(tiny_disk, "train", *SMALL)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "No space left on device" in done.stderr
    assert not (tiny_disk / "data/prepared/digits").exists()


@pytest.mark.parametrize(("number", "code"), first([(signal.SIGINT, 130), (signal.SIGTERM, 143)], 1))
def test_a_stopped_training_ends_killed_in_mlflow_and_goes_on_to_the_same_bits(clone, number, code):
    from howdeep.tracking.store import Store

    long = ("trainer.max_epochs=300", "train_examples=200", "checkpoint_seconds=0.2")
    process = subprocess.Popen(
        [sys.executable, "-m", "howdeep", "train", *long], cwd=clone, stderr=subprocess.PIPE, text=True
    )
    while not (clone / "scratch").exists() or not list((clone / "scratch").glob("*.ckpt")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert err.count("\n") == 1, err
    assert "the same command goes on from here" in err
    store = Store(f"sqlite:///{clone}/mlflow.db", "howdeep", clone)
    (run,) = store.find(howdeep__kind="run")
    assert run.info.status == "KILLED"
    assert run.data.metrics["val/loss"] > 0
    done = howdeep(clone, "train", *long)
    assert done.returncode == 0
    (provenance,) = (json.loads(path.read_text()) for path in clone.glob("provenance/*.json"))
    assert provenance["resumed"]
    (run,) = store.find(howdeep__kind="run")
    assert run.info.status == "FINISHED"
    assert len(store.client.get_metric_history(run.info.run_id, "val/loss")) == 300
    howdeep(clone, "train", *long, "tracking.uri=null")
    one, other = (path.read_bytes() for path in clone.glob("outputs/**/weights.safetensors"))
    assert one == other


def test_ui_says_if_the_port_is_taken(clone):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = howdeep(clone, "ui", "--port", str(port))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert f"try `howdeep ui --port {port + 1}`" in done.stderr


def imports_hydra(pid: int) -> bool:
    """Whether a process has come so far: before that Python itself tells of Ctrl-C."""
    try:
        return "_yaml" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("command", ["pull", "prepare"])
def test_ctrl_c_while_data_is_fetched_or_prepared_is_one_line(clone, command):
    shutil.rmtree(clone / "data" / ("raw" if command == "pull" else "prepared"))
    process = subprocess.Popen(
        [sys.executable, "-m", "howdeep", command, "data=digits"],
        cwd=clone,
        stderr=subprocess.PIPE,
        text=True,
    )
    # In the middle of its imports or of its work: either must end in one line.
    while process.poll() is None and not imports_hydra(process.pid):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err.count("\n")) in ((130, 1), (0, 1)), err
    assert "Traceback" not in err
    assert not list(clone.glob("data/**/*.tmp"))
