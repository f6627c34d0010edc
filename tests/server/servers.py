"""PostgreSQL, an S3 server and MLflow with passwords as real processes, started by the commands of docs/server.md."""

import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import psutil
import psycopg
import requests
import yaml

from tests.cluster.nodes import free_port, until
from tests.commands import ENV
from tests.postgresql import database

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
ADMIN, ANN, BOB = ("admin", "the-admin-s-own"), ("ann", "a password of ann"), ("bob", "a password of bob")
S3 = {"AWS_ACCESS_KEY_ID": "howdeep", "AWS_SECRET_ACCESS_KEY": "a-secret-of-s3"}
BUCKET = "howdeep"


class Servers:
    """What `compose.yaml` starts.

    Args:
        folder: for configs and logs.
        postgresql: the URL of a database on the server.
    """

    def __init__(self, folder: Path, postgresql: str) -> None:
        self.folder, self.processes = folder, dict[str, psutil.Popen]()
        with closing(psycopg.connect(postgresql, autocommit=True)) as connection:
            connection.execute("create role mlflow login superuser")
        self.runs = database(postgresql, "mlflow")
        self.ports = {"s3": free_port(), "mlflow": free_port()}
        (folder / "basic_auth.ini").write_text(COMPOSE["configs"]["basic_auth"]["content"])
        self.env = ENV | S3 | {
            "AWS_ENDPOINT_URL_S3": self.s3,
            "PGHOST": parse_qs(urlsplit(postgresql).query)["host"][0],
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "basic_auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "any long text",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }  # fmt: skip

    @property
    def s3(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3']}"

    @property
    def mlflow(self) -> str:
        return f"http://127.0.0.1:{self.ports['mlflow']}"

    def client(self, user: tuple[str, str] = ANN) -> dict[str, str]:
        """What the environment of a person has."""
        names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
        return S3 | {"MLFLOW_TRACKING_URI": self.mlflow} | dict(zip(names, user, strict=True))

    def start(self) -> None:
        self._start("s3", ["moto_server", "-H", "127.0.0.1", "-p", str(self.ports["s3"])])
        self.make_bucket()
        command = COMPOSE["services"]["mlflow"]["command"].replace("0.0.0.0", "127.0.0.1")
        port = f"--port {self.ports['mlflow']} --workers 1"
        self._start("mlflow", shlex.split(command.replace("--port 5000", port)))
        for name, password in (ANN, BOB):
            requests.post(
                f"{self.mlflow}/api/2.0/mlflow/users/create",
                json={"username": name, "password": password}, auth=ADMIN, timeout=30,
            ).raise_for_status()  # fmt: skip

    def _start(self, name: str, command: list[str]) -> None:
        command[0] = str(Path(sys.executable).with_name(command[0]))
        with (self.folder / f"{name}.log").open("w") as log:
            self.processes[name] = psutil.Popen(
                command, cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True
            )
        for _ in range(3):  # MLflow imports itself twice, which takes minutes on a busy machine
            with suppress(AssertionError):
                until(lambda: self._listens(name))
                return
        raise AssertionError((self.folder / f"{name}.log").read_text())

    def _listens(self, name: str) -> bool:
        if self.processes[name].poll() is not None:
            raise ChildProcessError((self.folder / f"{name}.log").read_text())
        with socket.socket() as asks:
            return asks.connect_ex(("127.0.0.1", self.ports[name])) == 0

    def make_bucket(self) -> None:
        _, option, script = COMPOSE["services"]["bucket"]["command"]
        subprocess.run([sys.executable, option, script], env=self.env, check=True, timeout=60)

    @property
    def bucket(self) -> Any:
        key, secret = S3.values()
        of: Any = boto3.resource(
            "s3",
            endpoint_url=self.s3,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )
        return of.Bucket(BUCKET)

    def close(self) -> None:
        for process in self.processes.values():
            for each in [*process.children(recursive=True), process]:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()


@contextmanager
def started(folder: Path, postgresql: str) -> Iterator[Servers]:
    servers = Servers(folder, postgresql)
    try:
        servers.start()
        yield servers
    finally:
        servers.close()
        shutil.rmtree(folder, ignore_errors=True)
