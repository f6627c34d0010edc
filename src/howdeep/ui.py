"""`howdeep ui`: MLflow's UI on this machine, with this project's store."""

import os
import socket
import sys

from howdeep.errors import UserError
from howdeep.project import Project


def serve(project: Project, port: int) -> int:
    """Replaces this process by `mlflow ui`: one worker and no job execution, so that it is up in seconds.

    Raises:
        UserError: the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(
                f"expected port {port} of 127.0.0.1 to be free, got: {error.strerror}; "
                f"try `howdeep ui --port {port + 1}`"
            ) from None
    uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{project.root / 'mlflow.db'}")
    os.environ |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    print(f"MLflow: http://127.0.0.1:{port} (Ctrl-C ends it)", file=sys.stderr)
    sys.stderr.flush()
    options = ["--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    os.chdir(project.root)
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", *options])
