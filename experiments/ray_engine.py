"""Runs as tasks of Ray, on this machine or a cluster that shares the checkout and --output_dir.

A task starts main.py as a child that dies with its Ray worker. So when a worker or a node is lost, Ray's retry of the
task finds the folder free and continues the run from it.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from errors import UsageError, UserError

from .child import ROOT
from .local import GRACE_SECONDS, log_path
from .plan import Run

INSTALL = "--engine ray needs Ray: pip install -r requirements-ray.txt"
RETRIES = 3  # of a task whose worker or node was lost
FREE_SECONDS = 30.0  # for a killed run to let go of its folder
OBJECT_STORE_BYTES = 80_000_000  # nothing of size passes through Ray


class RayEngine:
    """Each run a task that asks for `cpus` cores and `gpus` GPUs.

    Args:
        workers: runs at once; None: two on a Ray of our own, what fits on a cluster.
        address: the cluster's; None starts a Ray of our own on this machine, which ends with this process.
    """

    def __init__(self, workers: int | None, address: str | None, cpus: float, gpus: float) -> None:
        if gpus > 1 and gpus != int(gpus):
            raise UsageError(f"--gpus_per_run {gpus}: above one GPU, Ray gives whole ones")
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        try:
            import ray
        except ModuleNotFoundError:
            raise UserError(INSTALL) from None
        self._ray = ray
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address:
            try:
                ray.init(address=address, **quiet)
            except (ConnectionError, ValueError) as error:
                raise UserError(f"--ray_address {address}: {error}") from None
            self.capacity = workers or _fitting(ray.cluster_resources(), cpus, gpus)
        else:
            self.capacity = workers or 2
            ray.init(
                address="local",  # also where RAY_ADDRESS or a Ray that is running offers another
                num_cpus=max(1, math.ceil(self.capacity * cpus)),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
        if not any(_fits(node["Resources"], cpus, gpus) for node in ray.nodes() if node["Alive"]):
            ray.shutdown()
            raise UserError(f"no machine of this Ray has {cpus:g} cores and {gpus:g} GPUs: ask for less a run")
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(_make_task())
        self._runs: dict[Any, Run] = {}

    @property
    def active(self) -> list[Run]:
        return list(self._runs.values())

    def start(self, run: Run) -> None:
        place = (str(ROOT), os.getcwd(), str(log_path(run)), str(run.folder))
        self._runs[self._task.remote(*place, run.argv, run.command)] = run

    def wait(self, seconds: float) -> list[tuple[Run, int]]:
        ready, _ = self._ray.wait(list(self._runs), num_returns=1, timeout=seconds)
        return [(run := self._runs.pop(task), self._exit_code(task, run)) for task in ready]

    def _exit_code(self, task: Any, run: Run) -> int:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()
            with log_path(run).open("a", encoding="utf-8") as log:
                log.write(f"error: Ray gave the run up: {reason[0] if reason else type(error).__name__}\n")
            return 1

    def stop(self) -> None:
        for task in self._runs:
            self._ray.cancel(task)
        if self._runs:
            self._ray.wait(list(self._runs), num_returns=len(self._runs), timeout=GRACE_SECONDS + 5)
        self._runs.clear()

    def close(self) -> None:
        """End the Ray that was started, or leave the cluster."""
        self._ray.shutdown()


def _fitting(resources: dict[str, float], cpus: float, gpus: float) -> int:
    """How many runs the cluster has room for at once."""
    rooms = [resources.get(name, 0.0) / need for name, need in (("CPU", cpus), ("GPU", gpus)) if need]
    return max(1, int(min(rooms, default=1)))


def _fits(resources: dict[str, float], cpus: float, gpus: float) -> bool:
    return resources.get("CPU", 0.0) >= cpus and resources.get("GPU", 0.0) >= gpus


def _make_task() -> Callable[..., int]:
    """What a Ray worker does; made here so that Ray sends its code, as a worker cannot import ours yet."""

    def carry_out(root: str, folder: str, log: str, run_folder: str, argv: tuple[str, ...], command: str) -> int:
        import sys

        os.chdir(folder)
        sys.path[:0] = [] if root in sys.path else [root]
        from experiments.local import interrupt, start_child
        from experiments.ray_engine import wait_until_free

        signal.signal(signal.SIGINT, signal.default_int_handler)  # how Ray cancels; a shell's background job ignores it
        wait_until_free(Path(run_folder))
        child = start_child(argv, command, Path(log), dict(os.environ))
        try:
            while child.poll() is None:  # a cancelled task is interrupted between two looks
                time.sleep(0.1)
        finally:
            interrupt([child])
        return child.returncode

    return carry_out


def wait_until_free(folder: Path) -> None:
    """Give a process that is being killed the time to let go of the run's folder; main.py judges what is then."""
    from filelock import FileLock, Timeout

    if (folder / ".lock").exists():
        try:
            FileLock(folder / ".lock").acquire(timeout=FREE_SECONDS).lock.release()
        except Timeout:
            return
