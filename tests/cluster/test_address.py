"""How a scheduler is named, and what is refused before anything is started."""

from pathlib import Path

import pytest

from howdeep.cluster import start
from howdeep.cluster.address import Address, found, named_in, parsed
from howdeep.errors import UserError


@pytest.mark.parametrize(
    ("url", "security", "told"),
    [
        ("127.0.0.1:1", None, "ADDRESS must be the address of a scheduler, such as tcp://127.0.0.1:8786"),
        ("http://127.0.0.1:1", None, "ADDRESS must be the address of a scheduler"),
        ("tcp://127.0.0.1", None, "ADDRESS must be the address of a scheduler"),
        ("tcp://127.0.0.1:99999", None, "ADDRESS must be the address of a scheduler"),
        (5, None, "ADDRESS must be the address of a scheduler"),
        ("tls://10.0.0.1:1", None, "ADDRESS must have a security file for tls://10.0.0.1:1"),
        ("tls://10.0.0.1:1", "none", "ADDRESS must have a security file for tls://10.0.0.1:1"),
        ("tls://10.0.0.1:1", 5, "the security file of ADDRESS must be a path, got 5"),
        ("tcp://10.0.0.1:1", None, "ADDRESS must begin with tls:// for another machine"),
        ("tcp://10.0.0.1:1", "security.pem", "ADDRESS must begin with tls:// for another machine"),
    ],
)
def test_an_address_that_is_none_or_open_to_anybody_is_refused(url, security, told):
    with pytest.raises(UserError, match=told):
        parsed(url, security, "ADDRESS")


def test_an_address_is_taken_from_the_environment_before_params(monkeypatch):
    declared = parsed("tls://10.0.0.1:1", "security.pem", "cluster.scheduler in params.yaml")
    assert declared == Address("tls://10.0.0.1:1", Path("security.pem"))
    monkeypatch.delenv("HOWDEEP_SCHEDULER", raising=False)
    assert found(declared) == declared
    assert found(None) is None
    monkeypatch.setenv("HOWDEEP_SCHEDULER", "tcp://10.0.0.2:1")
    monkeypatch.setenv("HOWDEEP_SECURITY", "none")
    assert found(declared) == Address("tcp://10.0.0.2:1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nodes"], "--slurm must be words such as nodes=4 partition=cpu, got 'nodes'"),
        (["=4"], "--slurm must be words such as nodes=4 partition=cpu, got '=4'"),
    ],
)
def test_words_for_slurm_that_are_none_are_refused(words, told):
    with pytest.raises(UserError, match=told):
        start.slurm_options(words)


def test_words_for_slurm_are_options_of_sbatch():
    assert start.slurm_options(["nodes=4", "cpus-per-task=16"]) == {"nodes": "4", "cpus_per_task": "16"}
    assert start.slurm_options(None) is None


@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_that_is_none_is_refused(port, tmp_path):
    with pytest.raises(UserError, match=f"expected a port from 1 to 65535, got {port}: try --port 8786"):
        start.up(0, "10.0.0.1", port, tmp_path / "security.pem")
    assert not (tmp_path / "security.pem").exists()


def test_the_scheduler_of_a_params_yaml_is_found_whatever_else_stands_there(tmp_path):
    place = tmp_path / "params.yaml"
    assert named_in(place) is None
    place.write_text("depths: 3\ncluster: {scheduler: 'tcp://127.0.0.1:8786'}")
    assert named_in(place) == Address("tcp://127.0.0.1:8786")
    place.write_text("cluster: {scheduler")
    with pytest.raises(UserError, match=r"params\.yaml"):
        named_in(place)
