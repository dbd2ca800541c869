# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: packages, daemons, fio, tables and the closing line of JSON."""

import atexit
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("BSR_BIN", os.path.join(TOP, ".build", "release"))


def fail(text):
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr)
    sys.exit(1)


def need(**packages):
    """Installs the Debian packages (given as program=package) whose program is missing."""
    missing = [p for tool, p in packages.items() if not shutil.which(tool.replace("_", "-"))]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        install = ["apt-get", "install", "-qy", "--no-install-recommends", *missing]
        subprocess.run(["apt-get", "update", "-q"], stdout=sys.stderr, env=environment)
        subprocess.run(install, stdout=sys.stderr, env=environment)
    missing = [p for tool, p in packages.items() if not shutil.which(tool.replace("_", "-"))]
    if missing:
        fail(f"packages are missing; as root: apt-get install {' '.join(missing)}")
    for name in ("bsrd", "bsradm", "bsrsetup", "bsrmeta"):
        if not os.access(os.path.join(BIN, name), os.X_OK):
            fail(f"no {name} in {BIN}: swift build -c release, or set BSR_BIN")


def until(condition, what, seconds=30.0):
    """Waits until the condition holds and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            fail(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.1)


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Bench:
    """A temporary folder and the programs started in it; all of it is gone at exit."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="bsr-benchmark.")
        self.programs = []
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: sys.exit(143))

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self, name, command, **more):
        log = open(self.path(f"{name}.log"), "w")
        program = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, **more
        )
        self.programs.append(program)
        return program

    def written_file(self, name, size):
        """A preallocated file that is full of data, in the page cache no longer."""
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
            for _ in range(0, size, 1 << 20):
                file.write(os.urandom(1 << 20))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return path

    def close(self):
        for program in self.programs:
            program.terminate()
        for program in self.programs:
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Node:
    """One bsrd and the tools that speak to it."""

    def __init__(self, bench, name, configuration, folder=BIN, prefix=(), **more):
        self.bench, self.name, self.folder = bench, name, folder
        self.run = bench.path(name, "run")
        os.makedirs(self.run, exist_ok=True)
        self.place = ["--config-file", configuration, "--node", name, "--run-dir", self.run]
        self.program = bench.start(
            name,
            [*prefix, os.path.join(folder, "bsrd"), "--node", name, "--run-dir", self.run],
            **more,
        )
        until(lambda: self.tool("bsrsetup", "status", check=False) is not None, f"{name} ready", 60)

    def tool(self, name, *arguments, check=True):
        """Runs a tool and returns what it printed; None if it failed and that is no error."""
        command = [os.path.join(self.folder, name), *self.place, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode == 0:
            return done.stdout
        if check:
            fail(f"{name} {' '.join(arguments)}: {done.stderr.strip() or done.returncode}")
        return None

    def up(self, resource):
        self.tool("bsradm", "create-md", "--force", resource)
        self.tool("bsradm", "up", resource)

    def status(self, resource):
        return json.loads(self.tool("bsrsetup", "status", resource, "--json"))[0]

    def uri(self, resource):
        return f"nbd+unix:///{resource}/0?socket={self.run}/nbd.sock"


def pair(bench, size, disk, prefix=(), folder=BIN, tag="", **more):
    """Two bsrd over loopback, protocol C, connected and in sync; alpha is Primary.

    `prefix` and `more` are for alpha only, `disk` are lines of the disk section.
    """
    name, one, two = f"r{tag}", *free_ports(2)
    disks = [bench.written_file(f"{node}{tag}.disk", size) for node in ("alpha", "beta")]
    configuration = bench.path(f"pair{tag}.conf")
    with open(configuration, "w") as file:
        file.write(f"""global {{ usage-count no; disable-ip-verification; }}
resource {name} {{
    net {{ protocol C; }}
    disk {{ {disk} }}
    volume 0 {{ device minor 1; disk {disks[0]}; meta-disk internal; }}
    on alpha{tag} {{ node-id 0; address 127.0.0.1:{one}; }}
    on beta{tag} {{ node-id 1; address 127.0.0.1:{two}; volume 0 {{ disk {disks[1]}; }} }}
}}
""")
    alpha = Node(bench, f"alpha{tag}", configuration, folder, prefix, **more)
    beta = Node(bench, f"beta{tag}", configuration, folder)
    for node in (alpha, beta):
        node.up(name)

    def peer():
        connections = alpha.status(name)["connections"]
        return connections[0] if connections else {}

    until(lambda: peer().get("connection-state") == "Connected", "connected", 60)
    alpha.tool("bsradm", "primary", "--force", name)

    def in_sync():
        device = peer()["peer_devices"][0]
        return device["peer-disk-state"] == "UpToDate" \
            and device["replication-state"] == "Established"

    until(in_sync, "the first copy", 300)
    return alpha, beta, name


def processor_seconds(*programs):
    """User and system time that the programs have used, all their threads, exited ones too."""
    # The clock of another process, as clock_getcpuclockid(3) makes it.
    return sum(time.clock_gettime((~program.pid << 3) | 2) for program in programs)


class Run:
    """One run of fio: I/O per second, MB per second, processor microseconds per I/O."""

    def __init__(self, uri, kind, block, depth, size, seconds=None, count=None, servers=()):
        limit = ["--time_based", f"--runtime={int(seconds * 1000)}ms"] if seconds else \
            [f"--number_ios={count}"]
        command = [
            "fio", "--name=run", "--ioengine=nbd", f"--uri={uri}", f"--rw={kind}",
            f"--bs={block}", f"--iodepth={depth}", f"--size={size}", "--norandommap",
            "--randrepeat=0", "--output-format=json", *limit,
        ]
        before = processor_seconds(*servers)
        done = subprocess.run(command, capture_output=True, text=True, cwd=tempfile.gettempdir())
        after = processor_seconds(*servers)
        if done.returncode != 0:
            fail(f"fio {kind} {block} on {uri}: {(done.stderr or done.stdout).strip()}")
        job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
        side = job["read" if "read" in kind else "write"]
        if job["error"] or not side["total_ios"]:
            fail(f"fio {kind} {block} on {uri}: error {job['error']}")
        self.count = side["total_ios"]
        self.rate = side["iops"]
        self.megabytes = side["bw_bytes"] / 1e6
        self.processor = (after - before) * 1e6 / self.count


def middle(values):
    return statistics.median(values)


def spread(values):
    """Distance of the extremes as a share of the median."""
    return (max(values) - min(values)) / middle(values)


def table(head, rows):
    """Prints a Markdown table that is also readable as it is."""
    cells = [head] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    line = lambda row: "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |"
    print(line(cells[0]))
    print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    for row in cells[1:]:
        print(line(row))


def close(ratio, median, spread, ok, **more):
    """The last line: for programs."""
    result = {"ratio": round(ratio, 3), "median": round(median, 1), "spread": round(spread, 3)}
    print(json.dumps({**result, "ok": bool(ok), **more}))
