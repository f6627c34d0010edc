"""`howdeep worker` and `howdeep cluster up`: a node, and a scheduler with nodes on this machine."""

import asyncio
import logging
import os
import platform
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from howdeep.cluster import likeness, node, security
from howdeep.cluster.address import LOCAL, SECURITY, Address
from howdeep.errors import UserError
from howdeep.processes import progress
from howdeep.processes.workers import SECONDS_TO_CLOSE, cores

PORT, DASHBOARD = 8786, 8787
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "howdeep"
AGAIN_SECONDS = 1.0  # between two tries to reach a scheduler
GIVE_UP_SECONDS = 600.0  # without one
GPUS = {"gres", "gpus_per_node", "gpus_per_task"}  # options of sbatch
GIVE_UP_DAYS = 1  # of a node on Slurm, unless its options say another time
SETTINGS = {  # of Dask
    "distributed": {
        "scheduler": {
            "worker-ttl": "30s",  # of a node that is silent: its runs are begun elsewhere
            "allowed-failures": 0,  # the coordinator counts, of runs that had begun
            "work-stealing": False,  # no job may go to other nodes than those that it was sent for
            "active-memory-manager": {"start": False},  # answers stay nowhere
        },
        # Runs are in other processes, of which Dask sees nothing: its looks at its own cost 1 to 3 % of a core a node.
        "worker": {"profile": {"enabled": False}},
        "admin": {"tick": {"interval": "1s"}, "system-monitor": {"interval": "10s"}},
    }
}


def worker(address: Address, threads: int | None, name: str | None, cache: Path | None, *, gpu: bool) -> int:
    """Works for a scheduler until Ctrl-C or SIGTERM, or until it was gone for ten minutes.

    Args:
        threads: runs at a time; None: one a core.
        name: of the node, for messages; None: that of the machine, and the process.
        cache: a folder for data sets; None: ~/.cache/howdeep.
        gpu: whether runs that need one are sent here, one at a time.

    Raises:
        UserError: no Dask, a folder that cannot be written, no scheduler.
    """
    _need_dask()
    own = node.open_node(name or f"{platform.node()}-{os.getpid()}", cache or CACHE)
    own.give_back(own.take())  # imports what runs need
    try:
        slots = 1 if gpu else threads or cores()
        resources: dict[str, float] = {
            likeness.resource(likeness.about()): slots,
            **({likeness.GPU: 1} if gpu else {}),
        }
        return asyncio.run(_work(address, slots, resources, own))
    finally:
        own.close()


async def _work(address: Address, threads: int, resources: dict[str, float], own: node.Node) -> int:
    stopped = _stop_event()
    lost, told = time.monotonic(), False
    while not stopped.is_set():
        one = await _joined(address, threads, resources, own)
        if one is None:
            if time.monotonic() - lost > GIVE_UP_SECONDS:
                raise UserError(
                    f"expected a scheduler at {address}, got none for {GIVE_UP_SECONDS:.0f} s: start it"
                )
            if not told:
                progress.say(f"{own.name}: no scheduler at {address} yet, tries again every second")
            told = True
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), AGAIN_SECONDS)
            continue
        progress.say(f"{own.name}: {threads} runs at a time for {address} (Ctrl-C ends it)")
        asked, ended = asyncio.ensure_future(stopped.wait()), asyncio.ensure_future(one.finished())
        await asyncio.wait([asked, ended], return_when=asyncio.FIRST_COMPLETED)
        if stopped.is_set():
            with suppress(Exception):
                await asyncio.wait_for(one.close(executor_wait=False), SECONDS_TO_CLOSE)
        lost, told = time.monotonic(), False
    return 0


async def _joined(address: Address, threads: int, resources: dict[str, float], own: node.Node) -> Any:
    """A Dask worker that the scheduler knows; None if there is no scheduler."""
    from distributed import Worker

    host = urlsplit(address.url).hostname or ""
    one = Worker(
        address.url,
        nthreads=threads,
        name=own.name,
        security=security.read(address.security),
        resources=resources,
        local_directory=str(own.files.parent),
        dashboard_address="127.0.0.1:0",
        host=_written(host) if host in LOCAL else None,
        memory_limit=0,  # runs are in other processes
        death_timeout=AGAIN_SECONDS * 5,
    )
    try:
        return await one
    except Exception:  # whatever a network raises
        with suppress(Exception):
            await one.close(executor_wait=False)
        return None


def up(
    nodes: int, host: str, port: int, security_file: Path | None, slurm: Mapping[str, str] | None = None
) -> int:
    """Starts a scheduler, and nodes, until Ctrl-C or SIGTERM.

    Args:
        nodes: of one thread on this machine; others may join.
        host: under which others reach the scheduler. On any but 127.0.0.1 connections are encrypted.
        security_file: is written if it is not there; None: security.pem in the folder of now.
        slurm: what Slurm is asked for, see `_asked_of_slurm`; None: nothing.

    Raises:
        UserError: no Dask, a port that is taken, a host that is none.
    """
    if not 0 < port < 65536:
        raise UserError(f"expected a port from 1 to 65535, got {port}: try --port {PORT}")
    _need_dask()
    path = security_file or Path("security.pem") if host not in LOCAL or security_file is not None else None
    address = Address(f"{'tls' if path else 'tcp'}://{_written(host)}:{port}", path)
    new = path is not None and not path.exists()
    if path is not None and new:
        security.make(path)
    try:
        return asyncio.run(_up(address, nodes, slurm))
    except UserError:
        if path is not None and new:  # nobody has it yet
            path.unlink()
        raise


def _written(host: str) -> str:
    """A host as it stands in an address: one of IPv6 in brackets.

    Raises:
        UserError: it is none.
    """
    try:
        return f"[{ip_address(host)}]" if ":" in host else host
    except ValueError:
        raise UserError(f"--host must be the name or address of this machine alone, got '{host}'") from None


async def _up(address: Address, nodes: int, slurm: Mapping[str, str] | None) -> int:
    from distributed import Scheduler

    stopped, parts = _stop_event(), urlsplit(address.url)
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # where the dashboard's port is taken, it gets another one
            scheduler = await Scheduler(
                host=_written(parts.hostname or ""), port=parts.port or PORT, protocol=parts.scheme,
                security=security.read(address.security), dashboard_address=f"127.0.0.1:{DASHBOARD}",
            )  # fmt: skip
    except RuntimeError as error:  # in which Dask wraps what the system says
        if not isinstance(error.__cause__, OSError):
            raise
        raise UserError(
            f"expected {parts.hostname} to be this machine and its port {parts.port} to be free, got: "
            f"{error.__cause__}: see to --host, or try --port {(parts.port or PORT) + 1}"
        ) from None
    children = [_node(address, number) for number in range(nodes)]
    asked = _asked_of_slurm(address, slurm) if slurm is not None else []
    print(_told(address, scheduler.http_server.port), file=sys.stderr, flush=True)
    try:
        ended = asyncio.ensure_future(scheduler.finished())
        await asyncio.wait(
            [ended, asyncio.ensure_future(stopped.wait())], return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for child in children:
            child.terminate()
        for job in asked:
            job.cancel()
        with suppress(Exception):
            await asyncio.wait_for(scheduler.close(), SECONDS_TO_CLOSE)
        for child in children:
            try:
                child.wait(SECONDS_TO_CLOSE)
            except subprocess.TimeoutExpired:
                child.kill()
    return 0


def _node(address: Address, number: int) -> subprocess.Popen:
    command = [
        sys.executable,
        "-m",
        "howdeep",
        "worker",
        address.url,
        "--threads",
        "1",
        "--name",
        f"node-{number + 1}",
    ]
    if address.security is not None:
        command += ["--security", str(address.security)]
    return subprocess.Popen(command, start_new_session=True)


def _asked_of_slurm(address: Address, options: Mapping[str, str]) -> list[Any]:
    """Jobs of Slurm, each a node.

    Args:
        options: of sbatch, and `nodes`, how many jobs; `executor` is another one of submitit's than slurm.

    Raises:
        UserError: no submitit, no Slurm, or options that it does not know.
    """
    try:
        import submitit
    except ModuleNotFoundError:
        raise UserError("expected submitit, found none: pip install 'howdeep[launchers]'") from None
    rest = dict(options)
    count, kind = rest.pop("nodes", "1"), rest.pop("executor", "slurm")
    if not count.isdigit() or int(count) < 1:
        raise UserError(f"--slurm nodes must be a whole number of at least 1, got '{count}'")
    whole = Address(address.url, address.security and address.security.absolute())
    try:
        executor = submitit.AutoExecutor(folder=Path("scratch/slurm").absolute(), cluster=kind)
        executor.update_parameters(
            timeout_min=GIVE_UP_DAYS * 24 * 60, **{f"slurm_{name}": value for name, value in rest.items()}
        )
        with executor.batch():
            return [
                executor.submit(worker, whole, None, None, None, gpu=bool(GPUS & set(rest)))
                for _ in range(int(count))
            ]
    except (RuntimeError, ValueError, NameError, OSError) as error:  # no sbatch, or one that refuses
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"expected Slurm to take --slurm {_words(options)}, got: {told}") from None


def _words(options: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items())


def slurm_options(words: Sequence[str] | None) -> dict[str, str] | None:
    """KEY=VALUE as a map; None where nothing was said.

    Raises:
        UserError: a word of another form.
    """
    if words is None:
        return None
    for word in words:
        if "=" not in word or word.startswith("="):
            raise UserError(f"--slurm must be words such as nodes=4 partition=cpu, got '{word}'")
    return {name.replace("-", "_"): value for name, _, value in (word.partition("=") for word in words)}


def _told(address: Address, dashboard: int) -> str:
    lines = [f"scheduler: {address}; its dashboard: http://127.0.0.1:{dashboard}/status (Ctrl-C ends all)"]
    lines += (
        [f"its security file, for nodes and coordinators: {address.security}"] if address.security else []
    )
    lines += [
        f"a node more:  howdeep worker {address}{f' --security {address.security}' if address.security else ''}"
    ]
    secret = f"{SECURITY}={address.security} " if address.security else ""
    lines += [f"a study here: {secret}HOWDEEP_SCHEDULER={address} dvc repro"]
    return "\n".join(lines)


def _stop_event() -> asyncio.Event:
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    return event


def _need_dask() -> None:
    try:
        import distributed  # noqa: F401
        from dask import config
    except ModuleNotFoundError:
        raise UserError("expected Dask, found none: pip install 'howdeep[cluster]'") from None
    config.update_defaults(SETTINGS)  # below what a file of Dask's, or DASK_... in the environment says
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
