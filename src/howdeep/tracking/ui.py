"""`howdeep ui`: MLflow's UI on this machine, with this project's store.

MLflow's server in this very process, as its command `mlflow ui --workers 1` would run it in another one: MLflow takes
seconds to import, and that command pays for it twice.
"""

import os
import signal
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

from howdeep.errors import UserError, masked
from howdeep.files.project import Project
from howdeep.processes.ports import HOST, listening
from howdeep.processes.signals import stop_if_asked, stop_on_signals
from howdeep.tracking import database, failures, views
from howdeep.tracking.client import locate


def serve(project: Project, port: int) -> int:
    """Serves MLflow's UI and API until Ctrl-C or SIGTERM.

    Raises:
        UserError: the port is taken, the store cannot be opened, or it is a server's.
    """
    if (typed := os.environ.get("MLFLOW_TRACKING_URI", "")).startswith(("http://", "https://")):
        raise UserError(
            f"MLFLOW_TRACKING_URI names a server, which has a UI of its own: open {masked(typed)}"
        )
    stop_on_signals()  # an interrupt that MLflow's imports would swallow comes again
    with listening(port, "howdeep ui") as listener:
        # From here on a browser waits for its answer, instead of being told that nobody is there.
        print(f"MLflow: http://{HOST}:{port} (Ctrl-C ends it)", file=sys.stderr, flush=True)
        os.chdir(project.root)
        uri = locate(os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"), project.root)
        server = _server(uri, project.root)
        stop_if_asked()  # an import dropped it: it would come again within the server's loop, as a traceback
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        Thread(target=_say_views, args=(server, uri, f"http://{HOST}:{port}"), daemon=True).start()
        with suppress(KeyboardInterrupt):  # uvicorn ends in order, then raises again what it was ended by
            server.run(sockets=[listener])
        return 0 if server.started else 1


def _say_views(server: Any, uri: str, address: str) -> None:
    """Prints the links to the views of each study as soon as the server answers; nothing of a store without any."""
    from mlflow import MlflowClient

    while not server.started:
        if server.should_exit:
            return
        time.sleep(0.05)
    try:
        experiments = MlflowClient(uri).search_experiments()
    except Exception as error:  # the UI shows it
        if not failures.is_mlflows(error):
            raise
        return
    for experiment in experiments:
        for key, name in views.names(experiment.tags).items():
            link = f"{address}{views.link(experiment.experiment_id, key)}"
            print(f"{experiment.name}, {name}: {link}", file=sys.stderr, flush=True)


def _server(uri: str, root: Path):
    """A server of MLflow's application, told as by MLflow's command where runs and artifacts are.

    Job execution stays off: it starts processes of its own, for nothing that howdeep uses.
    """
    os.environ |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    warnings.filterwarnings(
        "ignore", message=".*starlette.middleware.wsgi is deprecated"
    )  # MLflow's business
    import uvicorn  # before MLflow, which by that knows that it is going to be served
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores
    from mlflow.store.tracking import DEFAULT_ARTIFACTS_URI

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: uri,
        constants.REGISTRY_STORE_URI_ENV_VAR: uri,
        constants.ARTIFACT_ROOT_ENV_VAR: DEFAULT_ARTIFACTS_URI,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: "./mlartifacts",
    }
    try:
        with database.lock(root):
            database.prepare(uri, root)
        initialize_backend_stores(uri, uri, DEFAULT_ARTIFACTS_URI)
    except Exception as error:
        if not failures.is_mlflows(error):
            raise
        told, remedy = failures.told(error, uri), failures.remedy(error, uri)
        raise UserError(f"{told}: {remedy}, or check MLFLOW_TRACKING_URI") from error
    from mlflow.server.fastapi_app import app

    return uvicorn.Server(uvicorn.Config(app, log_level="warning"))
