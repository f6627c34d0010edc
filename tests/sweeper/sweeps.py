"""What the tests of sweeps type, and what they read."""

from contextlib import closing
from pathlib import Path

from howdeep.files.project import Project
from howdeep.sweeping.storage import Storage

ROOT = Path(__file__).parents[2]
SMALL = ("model=mlp", "data=digits", "model.width=8", "trainer.max_epochs=3", "train_examples=64")


def trials_of(home: Project, study: str) -> list:
    """Optuna's trials, as anybody who opens the journal sees them."""
    import optuna

    journal = home.root / "multirun" / study / "study.journal"
    with closing(Storage(str(journal))) as storage:
        return optuna.load_study(study_name=study, storage=storage.optuna).trials


def named(study: str, n: int) -> tuple[str, str]:
    return f"hydra.sweeper.study={study}", f"hydra.sweeper.n_trials={n}"
