"""What howdeep uses of other packages beside their public doors: each name, its reason, and the test that guards it.

Another version may rename or drop such a name without a word. Whoever raises a pin in pyproject.toml runs these tests.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.utils import requirements_utils

# Package-internal modules whose names have no underscore.
INTERNAL = (
    "hydra._internal", "mlflow.server", "mlflow.store", "mlflow.tracking.", "mlflow.utils",
    "pytorch_lightning.loops", "pytorch_lightning.trainer.",
)  # fmt: skip
# Documented, though they begin with an underscore: Hydra's and OmegaConf's keys, named tuples, the way out of a fork.
PUBLIC = {"_target_", "_partial_", "_replace", "_asdict", "_fields", "_exit"}

KNOWN = {  # name -> why there is no public way, and the test that fails where it is gone
    "_TrainingEpochLoop": (
        "the loop over batches that `training.loop` replaces: Lightning's own costs small networks several steps",
        "training/test_run.py::test_a_whole_epoch_in_one_go_equals_lightnings_own_loop_bit_for_bit",
    ),
    "_load_external_callbacks": (
        "Lightning asks every installed package for callbacks at each run, and has no switch",
        "training/test_run.py::test_no_package_adds_callbacks_to_a_run",
    ),
    "callback_connector": (
        "the module in which that name is patched",
        "training/test_run.py::test_no_package_adds_callbacks_to_a_run",
    ),
    "ConfigLoaderImpl": (
        "Hydra lets a sweeper choose what composes its jobs, but names no public class to inherit from",
        "study/test_sharing.py::test_a_job_has_the_config_that_hydra_composes_for_it",
    ),
    "get_overrides_dirname": (
        "what Hydra notes of a job's overrides",
        "study/test_sharing.py::test_a_job_has_the_config_that_hydra_composes_for_it",
    ),
    "BasicSweeper": (
        "Hydra's own sweeper, with another loader; its documentation tells authors to copy it",
        "test_cli.py::test_multirun_trains_every_combination",
    ),
    "_return_value": (
        "the public property of a failed Hydra job raises, but prints as well",
        "sweeper/test_command.py::test_pruned_and_diverged_trials_are_told_apart_everywhere",
    ),
    "_get_stale_trial_ids": (
        "Optuna's public way fails the stale trials; a sweep gives them to another worker",
        "sweeping/test_resuming.py::test_the_trial_of_a_dead_host_is_taken_over_on_postgresql_and_that_of_a_living_one_is_not",
    ),
    "_engine_map": (
        "MLflow keeps a database open for good; a fork must let go of it, and a full disk needs the place",
        "tracking/test_store.py::test_a_forked_worker_can_write_to_the_store_its_parent_opened",
    ),
    "SqlAlchemyStore": (
        "makes a database aside; MLflow has no public way but to open it",
        "tracking/test_database.py::test_a_database_whose_making_is_killed_at_any_moment_is_made_at_the_next_start",
    ),
    "utils": (
        "`mlflow.store.db.utils.MAX_RETRY_COUNT`: MLflow would wait minutes for a database server",
        "tracking/test_view.py::test_a_driver_or_a_server_that_is_not_there_is_one_line_without_the_password",
    ),
    "UnsupportedModelRegistryStoreURIException": (
        "what MLflow raises of an address that names no kind of store",
        "tracking/test_view.py::test_what_names_no_kind_of_store_is_an_error",
    ),
    "resolve_tags": (
        "what MLflow's own `log_model` notes of where a model comes from",
        "tracking/test_store.py::test_a_logged_model_has_the_rows_and_files_that_mlflow_gives_it",
    ),
    "local_file_uri_to_path": (
        "where MLflow keeps an artifact that lies on this machine",
        "tracking/test_store.py::test_a_logged_model_has_the_rows_and_files_that_mlflow_gives_it",
    ),
    **dict.fromkeys(
        ("constants", "initialize_backend_stores", "DEFAULT_ARTIFACTS_URI", "app"),
        (
            "MLflow's server in this process; its command would start another one and import MLflow twice",
            "tracking/test_ui.py::test_the_ui_answers_with_its_page_and_with_the_runs_of_the_project",
        ),
    ),
    **dict.fromkeys(
        ("requirements_utils", "_init_modules_to_packages_map"),
        (
            "a list that MLflow makes before its first model; a warm process makes it once for all its forks",
            "test_private_names.py::test_mlflow_lists_the_packages_that_are_installed",
        ),
    ),
    **dict.fromkeys(
        ("_cudnn_rnn", "_scaled_dot_product_flash_attention_for_cpu"),
        (
            "torch's operators, whose FLOPs its counter does not know; they have no other name",
            "diagnostics/test_cost.py::test_the_formula_of_a_gpu_agrees_with_that_of_a_processor",
        ),
    ),
}


def uses(tree: ast.AST) -> Iterator[str]:
    """Names of others that begin with an underscore, and names that are imported from internal modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and re.match("_[A-Za-z]", node.attr):
            of_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not of_self:
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("howdeep"):
            internal = f"{node.module}.".startswith(INTERNAL)
            yield from (alias.name for alias in node.names if internal or alias.name.startswith("_"))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr", "hasattr"):
            yield from (
                str(arg.value)
                for arg in node.args[1:2]
                if isinstance(arg, ast.Constant) and re.match("_[A-Za-z]", str(arg.value))
            )


def own_names(tree: ast.AST) -> set[str]:
    """What classes and modules of howdeep define themselves with an underscore."""
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return defined | {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }


def test_every_private_name_of_another_package_is_listed(root):
    trees = [ast.parse(path.read_text()) for path in (root / "src").rglob("*.py")]
    own = set().union(*map(own_names, trees)) - set(KNOWN)
    found = {name for tree in trees for name in uses(tree)} - PUBLIC - own
    assert found == set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_the_guard_of_a_private_name_is_a_test(name):
    reason, guard = KNOWN[name]
    file, _, test = guard.partition("::")
    assert (
        f"def {test}("
        in Path(__file__).with_name(file.split("/")[0]).joinpath(*file.split("/")[1:]).read_text()
    )
    assert reason


def test_mlflow_lists_the_packages_that_are_installed():
    requirements_utils._init_modules_to_packages_map()
    assert "torch" in requirements_utils._MODULES_TO_PACKAGES["torch"]
