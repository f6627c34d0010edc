"""MLflow's client of a store: quiet, and without minutes of patience with a server that is not there."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from howdeep.errors import UserError, masked
from howdeep.tracking import database

if TYPE_CHECKING:  # commands start without MLflow
    from mlflow import MlflowClient

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
# It prints the address of a server with its password.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# MLflow would wait four minutes for a server that is not there, and a quarter of an hour for one that is silent.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("PGCONNECT_TIMEOUT", "6")
ATTEMPTS = 3  # to reach a database server


def locate(uri: str, root: Path) -> str:
    """An sqlite file is meant relative to the project, not to where the command was typed."""
    prefix = "sqlite:///"
    if not uri.startswith(prefix) or Path(uri.removeprefix(prefix)).is_absolute():
        return uri
    return f"{prefix}{root / uri.removeprefix(prefix)}"


def open_client(uri: str, root: Path) -> "MlflowClient":
    """The client of the store at an address, whose database is made if it is not there.

    Raises:
        UserError: no such kind of store.
        MlflowException, SQLAlchemyError, sqlite3.Error, OSError: it cannot be opened.
    """
    from mlflow import MlflowClient
    from mlflow.store.db import utils
    from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException

    utils.MAX_RETRY_COUNT = ATTEMPTS  # with the ten of MLflow it takes minutes
    # What they would print comes as an exception too.
    logging.getLogger(utils.__name__).setLevel(logging.CRITICAL)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    with database.lock(root):  # two first writers would both create the tables, and one crash
        database.prepare(uri, root)
        try:
            client = MlflowClient(uri)
        except UnsupportedModelRegistryStoreURIException as error:
            raise UserError(
                f"the MLflow store {masked(uri)} cannot be opened: expected an address such as "
                "sqlite:///mlflow.db or http://127.0.0.1:5000, or tracking.uri=null"
            ) from error
        client.search_experiments(max_results=1)
        return client


def experiment(client: "MlflowClient", name: str) -> str | None:
    """The id of an experiment, None if there is none.

    Raises:
        MlflowException: it was deleted.
    """
    from mlflow.exceptions import MlflowException

    if not (found := client.get_experiment_by_name(name)):
        return None
    if found.lifecycle_stage == "deleted":
        raise MlflowException(
            f"the experiment {name} was deleted: restore it with `mlflow experiments restore "
            f"-x {found.experiment_id}`"
        )
    return found.experiment_id
