"""A password in an address that is typed stands in no file, and is used all the same."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from howdeep.study.passwords import hidden

PW = "s3cr3t"


@pytest.mark.parametrize(
    ("override", "values"),
    [
        (f"tracking.uri=http://me:{PW}@host:5000/x", [f"http://me:{PW}@host:5000/x"]),
        (f"tracking.uri='http://me:{PW}@host/a b'", [f"http://me:{PW}@host/a", "b"]),
        (f'data.mirror="http://me:{PW}/@host"', [f"http://me:{PW}/@host"]),
        (
            f"hydra.sweeper={{storage: postgresql://me:{PW}@host/db, n_trials: 3}}",
            [f"postgresql://me:{PW}@host/db"],
        ),
        (f"hydra.sweeper={{storage:'postgresql://me:{PW}@host/db'}}", [f"postgresql://me:{PW}@host/db"]),
        (f"+x=[http://a,http://me:{PW}@b]", ["http://a", f"http://me:{PW}@b"]),
        (f"data.mirror=http://me:{PW}@a,http://me:{PW}2@b", [f"http://me:{PW}@a", f"http://me:{PW}2@b"]),
        (f"data.mirror=choice(http://me:{PW}@a,c)", [f"http://me:{PW}@a", "c"]),
        (f"'hydra.sweeper.storage=postgresql://host/db?user=me&password={PW}'", [f"password={PW}"]),
        (f"hydra.sweeper.storage='postgresql://host/db?user=me&password={PW}'", [f"password={PW}"]),
        (rf"tracking.uri='http://me:{PW}\'x@host'", [f"http://me:{PW}'x@host"]),
    ],
)
def test_an_address_is_replaced_and_keeps_its_value(monkeypatch, override, values):
    for n in (1, 2):
        monkeypatch.setenv(f"HOWDEEP_SECRET_{n}", "")
    (found,) = hidden([override])
    assert PW not in found
    if not override.startswith("'"):
        (parsed,) = OverridesParser.create().parse_overrides([found])
        assert parsed.key_or_group == override.partition("=")[0].lstrip("+")
    read = re.sub(r"\$\{oc\.env:(\w+)\}", lambda name: os.environ[name[1]], found)
    for value in values:
        assert value in read


@pytest.mark.parametrize(
    "override",
    [
        "tracking.uri=sqlite:///a.db",
        "data.mirror=http://host/x",
        "model.depth=1,2",
        "+x='a: b@c'",
        "x=${oc.env:HOME}",
    ],
)
def test_whatever_holds_none_stays_as_it_is(override):
    assert hidden([override]) == [override]


@pytest.fixture
def home(tmp_path, project):
    shutil.copytree(project.conf, tmp_path / "conf")
    shutil.copytree(project.root / "data", tmp_path / "data")
    shutil.copy(project.root / "params.yaml", tmp_path)
    return tmp_path


SMALL = [
    "model.width=4",
    "trainer.max_epochs=1",
    "train_examples=64",
    f"data.mirror=http://me:{PW}@nowhere.invalid",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "files"),
    [
        (["tracking.uri=null"], 3),
        (["-m", "tracking.uri=null", "seed=1,2"], 7),
        (["-m", "tracking.uri=null", "seed=1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], 7),
        (
            [
                "-m",
                "tracking.uri=null",
                "hydra/sweeper=optuna",
                "model.depth=1,2",
                "hydra.sweeper.n_trials=2",
            ],
            6,
        ),
        (
            [
                *(
                    "-m",
                    "tracking.uri=null",
                    "hydra/sweeper=optuna",
                    "model.depth=1,2",
                    "hydra.sweeper.n_trials=2",
                ),
                *(
                    "hydra/launcher=joblib",
                    "hydra.sweeper.n_jobs=2",
                    "hydra.sweeper.storage='sqlite:///sweep.db?password=s3cr3t'",
                ),
            ],
            6,
        ),
    ],
    ids=["one", "grid", "joblib", "optuna", "optuna on joblib"],
)
def test_no_file_of_a_training_holds_it(home, more, files):
    environment = {**os.environ, "HYDRA_FULL_ERROR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "howdeep", "train", *more, *SMALL],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert PW not in done.stdout + done.stderr
    holds = [path for path in home.rglob("*") if path.is_file() and PW.encode() in path.read_bytes()]
    assert holds == []
    saved = [
        path for path in home.rglob("*.yaml") if path.parent.name == ".hydra" or path.name == "multirun.yaml"
    ]
    assert len(saved) >= files
    read = OmegaConf.load(next(path for path in saved if path.name == "config.yaml"))
    assert "HOWDEEP_SECRET_" in OmegaConf.to_container(read, resolve=False)["data"]["mirror"]  # type: ignore[index]
