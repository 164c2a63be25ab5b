"""A Ray cluster of several nodes on one machine, each with its own network, processes, memory and view of the disk.

The driver's node is the machine itself, under an address on a bridge. Every other node lives in namespaces: an address
of its own behind a virtual cable, its own ``/tmp`` and ``/dev/shm``, and nothing where the study and the project's
source are. To lose one, its process namespace is killed, and everything in it dies at once, as with a power cut.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.commands import clean_environment

BRIDGE = "losstune0"
NETWORK = "10.98.76"
HEAD = f"{NETWORK}.1"
PORT = 6399
ADDRESS = f"{HEAD}:{PORT}"
RAY = str(Path(sys.executable).parent / "ray")
READY_SEC = 120.0
ENTER = ("ip", "netns", "exec")
SEPARATE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc")
TRIAL_TITLES = ("ray::_Trial", "ray::ResourceTrainable")
TOKEN = secrets.token_hex(32)


def missing() -> str | None:
    """Return what such a cluster needs and isn't there, or None."""
    if os.geteuid() != 0:
        return "network and process namespaces need root"
    for tool in ("ip", "unshare", "mount"):
        if shutil.which(tool) is None:
            return f"no {tool} here"
    probe = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, check=False)
    return "namespaces are not allowed here" if probe.returncode else None


@dataclass
class Node:
    """A node in namespaces.

    Attributes:
        process: Outside, of what holds the namespaces.
        name: Of the network namespace.
    """

    process: subprocess.Popen[bytes]
    name: str

    def kill(self) -> None:
        """Kill everything in it at once: the first process of a process namespace takes all others along."""
        for child in psutil.Process(self.process.pid).children():
            child.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)

    def cpu_sec(self) -> float:
        """Return the processor time that its workers have used for trials so far."""
        total = 0.0
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if any(title in " ".join(process.cmdline()) for title in TRIAL_TITLES):
                    times = process.cpu_times()
                    total += times.user + times.system
            except psutil.Error:
                continue
        return total


@dataclass
class Cluster:
    """Nodes by number.

    Attributes:
        hidden: Folders that the nodes in namespaces see empty.
    """

    hidden: Sequence[Path]
    nodes: dict[int, Node] = field(default_factory=dict)

    def add(self, number: int, num_cpus: int) -> Node:
        """Start a node and return at once; it joins some seconds later."""
        name, address = f"losstune{number}", f"{NETWORK}.{number}"
        _ip("netns", "add", name)
        _ip("link", "add", f"lt{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", f"lt{number}", "master", BRIDGE, "up")
        for command in (
            ("addr", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
            ("link", "set", "lo", "up"),
        ):
            _ip("-n", name, *command)
        hide = [f"mount -t tmpfs none {folder}" for folder in (*self.hidden, Path("/tmp"), Path("/dev/shm"))]
        start = (
            f"exec {RAY} start --address={ADDRESS} --node-ip-address={address} --num-cpus={num_cpus} --block"
            " --disable-usage-stats"
        )
        process = subprocess.Popen(
            [*ENTER, name, *SEPARATE, "sh", "-ec", "\n".join([*hide, "cd /", start])],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.nodes[number] = node = Node(process, name)
        return node

    def wait_for(self, num_nodes: int) -> None:
        """Wait until so many nodes are alive, the driver's included."""
        end = time.monotonic() + READY_SEC
        while time.monotonic() < end:
            listing = subprocess.run(
                [RAY, "status", "--address", ADDRESS], env=environment(), capture_output=True, text=True, check=False
            )
            active = listing.stdout.partition("Active:")[2].partition("Pending:")[0]
            if active.count("node_") == num_nodes:
                return
            time.sleep(1)
        raise TimeoutError(f"{num_nodes} nodes were not there after {READY_SEC:g} s:\n{listing.stdout}{listing.stderr}")


@contextmanager
def cluster(*, hidden: Sequence[Path], num_cpus: int) -> Iterator[Cluster]:
    """Start the driver's node, with so many cores for trials; end all nodes and remove all traces afterwards."""
    _tidy()
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "add", f"{HEAD}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    # Its sockets' paths may not exceed 107 bytes.
    folder = tempfile.mkdtemp(prefix="losstune-head-", dir="/tmp")
    head = subprocess.Popen(
        [
            *(RAY, "start", "--head", f"--node-ip-address={HEAD}", f"--port={PORT}", f"--num-cpus={num_cpus}"),
            *("--block", f"--temp-dir={folder}", "--include-dashboard=false", "--disable-usage-stats"),
        ],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    nodes = Cluster(hidden)
    try:
        nodes.wait_for(1)
        yield nodes
    finally:
        for node in nodes.nodes.values():
            if node.process.poll() is None:
                node.kill()
        for process in [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]:
            process.kill()
        head.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)
        _tidy()


def environment() -> dict[str, str]:
    """Return what the nodes' processes, and the driver's, have for their environment: with the cluster's token."""
    clean = clean_environment()
    return clean | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)


def _tidy() -> None:
    # Also of a run that was killed.
    subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True, check=False)
    listing = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
    for line in listing.splitlines():
        name = line.split()[0]
        if name.startswith("losstune"):
            pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout
            for pid in pids.split():
                os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
