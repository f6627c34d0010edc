"""A study on two machines: network namespaces of their own, encrypted, without a path that they share."""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from howdeep.cluster import security
from tests.clones import TUNED, Clone, at, copy_of, made_once
from tests.cluster.nodes import TTL, Cluster, free_port, until
from tests.commands import ENV, Command, Done, howdeep

pytestmark = pytest.mark.slow
STUDY = TUNED | {"seeds": [0, 1, 2], "split": "all"}
ENTRY = "digits-mlp"
STAGES = [["plan"], ["tune-entry", ENTRY], ["train-entry", ENTRY], ["evaluate"], ["inspect"]]
MADE = ("plans", "tuned", "runs", "results")


def ip(*words: str) -> bool:
    return subprocess.run(["ip", *words], capture_output=True).returncode == 0


class Machines:
    """Two network namespaces with a bridge between them and this one."""

    def __init__(self) -> None:
        self.name = f"hd{os.getpid() % 10000}"
        self.net = f"10.{77 + os.getpid() % 100}.0"

    @property
    def url(self) -> str:
        return f"tls://{self.net}.1:{free_port()}"

    def link(self, number: int) -> str:
        return f"{self.name}v{number}"

    def space(self, number: int) -> str:
        return f"{self.name}n{number}"

    def make(self) -> bool:
        bridge = f"{self.name}b"
        right = ip("link", "add", bridge, "type", "bridge") and ip(
            "addr", "add", f"{self.net}.1/24", "dev", bridge
        )
        right = right and ip("link", "set", bridge, "up")
        for number in (1, 2):
            space, link = self.space(number), self.link(number)
            right = right and ip("netns", "add", space)
            right = right and ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
            right = right and ip("link", "set", link, "master", bridge, "up")
            right = right and ip("-n", space, "addr", "add", f"{self.net}.{number + 1}/24", "dev", "eth0")
            right = (
                right
                and ip("-n", space, "link", "set", "eth0", "up")
                and ip("-n", space, "link", "set", "lo", "up")
            )
        hidden = tempfile.mkdtemp()
        return (
            right
            and subprocess.run([*self.prefix(Path(hidden), 1), "true"], capture_output=True).returncode == 0
        )

    def remove(self) -> None:
        for number in (1, 2):
            ip("netns", "del", self.space(number))
        ip("link", "del", f"{self.name}b")

    def prefix(self, hidden: Path, node: int) -> list[str]:
        """In which a node sees nothing of a folder."""
        if node == 0:
            return []
        hide = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden)]
        return ["ip", "netns", "exec", self.space(node), *hide]


@pytest.fixture(scope="module")
def local(root, tmp_path_factory) -> Clone:
    """The study, as this machine alone makes it."""

    def make(folder: Path) -> None:
        clone = Clone(root, folder)
        clone.write_params(STUDY)
        for words in (["pull", "data=digits"], ["prepare", "data=digits"], *STAGES):
            clone.run("howdeep", *words)

    return at(made_once("cluster-local", make, tmp_path_factory))


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    of = Machines()
    if not of.make():
        of.remove()
        pytest.skip("namespaces of network and mounts need root, and a kernel that has them")
    try:
        yield of
    finally:
        of.remove()


@pytest.fixture(scope="module")
def cluster(machines, tmp_path_factory) -> Iterator[Cluster]:
    folder, projects = tmp_path_factory.mktemp("nodes"), tmp_path_factory.mktemp("projects")
    of = Cluster(
        folder,
        prefix=lambda node: machines.prefix(projects, node),
        url=machines.url,
        security=security.make(folder / "security.pem"),
    )
    of.projects = projects
    try:
        of.scheduler()
        for number in (1, 2):
            of.node(number)
        for number in (1, 2):
            of.wait_for(number)
        yield of
    finally:
        of.close()


@pytest.fixture
def elsewhere(local, cluster, tmp_path) -> Clone:
    """The same study with nothing of it done."""
    clone = copy_of(local, cluster.projects / tmp_path.name)
    for name in (*MADE, "mlflow.db", "mlartifacts", "provenance"):
        place = clone.folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
    return clone


def env(clone: Clone, cluster: Cluster) -> dict[str, str]:
    return {
        "PYTHONPATH": str(clone.folder / "src"),
        "HOWDEEP_SCHEDULER": cluster.address.url,
        "HOWDEEP_SECURITY": str(cluster.address.security),
    }


def typed(clone: Clone, cluster: Cluster, *words: str) -> Done:
    done = howdeep(clone.folder, *words, **env(clone, cluster))
    done.check_words()
    assert done.code == 0, done.err
    return done


def made(clone: Clone, *names: str) -> dict[str, str]:
    return {
        str(path.relative_to(clone.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for name in names
        for path in sorted((clone.folder / name).rglob("*"))
        if path.is_file()
    }


def runs_in_mlflow(clone: Clone) -> list[str]:
    return sorted(run.data.tags["howdeep.key"] for run in clone.store().find(howdeep__kind="run"))


def test_every_stage_gives_the_bits_of_one_machine(local, elsewhere, cluster):
    for words in STAGES:
        typed(elsewhere, cluster, *words)
    assert made(elsewhere, *MADE) == made(local, *MADE)
    assert runs_in_mlflow(elsewhere) == runs_in_mlflow(local)
    hosts = {path.read_text() for path in (elsewhere.folder / "provenance").glob("*.json")}
    assert hosts  # where each was trained
    again = typed(elsewhere, cluster, "train-entry", ENTRY)
    assert "0 runs to train" in again.err


def test_a_coordinator_that_is_killed_goes_on_and_no_run_is_there_twice(local, elsewhere, cluster):
    typed(elsewhere, cluster, "plan")
    typed(elsewhere, cluster, "tune-entry", ENTRY)
    coordinator = Command(elsewhere.folder, "train-entry", ENTRY, **env(elsewhere, cluster))
    until(lambda: len(elsewhere.stamps()) >= 2)
    coordinator.kill()
    coordinator.wait()
    before = elsewhere.stamps()
    typed(elsewhere, cluster, "train-entry", ENTRY)
    assert made(elsewhere, "runs") == made(local, "runs")
    assert before.items() <= elsewhere.stamps().items()
    assert runs_in_mlflow(elsewhere) == runs_in_mlflow(local)


def test_a_link_that_is_down_for_a_while_costs_no_run(local, elsewhere, cluster, machines):
    typed(elsewhere, cluster, "plan")
    typed(elsewhere, cluster, "tune-entry", ENTRY)
    coordinator = Command(elsewhere.folder, "train-entry", ENTRY, **env(elsewhere, cluster))
    until(lambda: len(elsewhere.stamps()) >= 1)
    joined = cluster.said(1).count("runs at a time")
    assert ip("link", "set", machines.link(1), "down")
    time.sleep(
        2 * TTL + 3
    )  # a scheduler looks every TTL seconds whom it has not heard for as long, and 5 at least
    assert ip("link", "set", machines.link(1), "up")
    done = coordinator.wait()
    done.check_words()
    assert done.code == 0, done.err
    assert made(elsewhere, "runs") == made(local, "runs")
    assert runs_in_mlflow(elsewhere) == runs_in_mlflow(local)
    until(lambda: cluster.said(1).count("runs at a time") > joined, lambda: cluster.said(1))


def test_a_stop_of_the_coordinator_ends_what_runs_on_nodes(elsewhere, cluster):
    typed(elsewhere, cluster, "plan")
    typed(elsewhere, cluster, "tune-entry", ENTRY)
    coordinator = Command(elsewhere.folder, "train-entry", ENTRY, **env(elsewhere, cluster))
    until(lambda: len(elsewhere.stamps()) >= 1)
    coordinator.process.terminate()
    done = coordinator.wait()
    assert done.code == 128 + signal.SIGTERM, done.err
    until(lambda: not cluster.busy())
    assert "Traceback" not in done.err


def test_a_security_file_of_another_scheduler_is_refused(elsewhere, cluster, tmp_path):
    other = security.make(tmp_path / "other.pem")
    done = howdeep(elsewhere.folder, "plan", **env(elsewhere, cluster) | {"HOWDEEP_SECURITY": str(other)})
    assert done.code == 1
    assert len(done.complaints) == 1
    assert "expected a scheduler at tls://" in done.complaints[0]


def test_another_machine_without_encryption_is_refused(elsewhere, cluster):
    url = cluster.address.url.replace("tls", "tcp")
    done = howdeep(elsewhere.folder, "plan", PYTHONPATH=ENV.get("PYTHONPATH", ""), HOWDEEP_SCHEDULER=url)
    assert done.code == 1
    assert "HOWDEEP_SCHEDULER must begin with tls:// for another machine" in done.err
