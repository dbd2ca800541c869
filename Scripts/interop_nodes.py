# SPDX-License-Identifier: Apache-2.0
"""The two nodes of interop-drbd: drbd.ko in a VM, bsrd on this host, and what both can do."""
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

PORT = 7789
# Each node has so many disks; a scenario uses the first, or all.
VOLUMES = range(2)
# What the kernel writes through its block device; the pattern byte follows.
KERNEL_WRITE = (
    "tr '\\000' '\\{octal:03o}' </dev/zero | dd of=/dev/drbd{volume} bs={size} count=1 iflag=fullblock "
    "oflag=direct,seek_bytes{flags} conv=notrunc seek={offset} 2>/dev/null"
)


class Failure(Exception):
    """A check that does not hold; the rest of the scenario would mean nothing."""


def wait_until(what, condition, seconds=60):
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            raise Failure("%s: not within %d s" % (what, seconds))
        time.sleep(0.2)


def tool(*words, check=True, timeout=60):
    try:
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise Failure("%s: not within %d s" % (" ".join(words), timeout)) from None
    except OSError as error:
        raise Failure("%s: %s" % (words[0], error.strerror)) from None
    text = done.stdout.decode(errors="replace")
    if check and done.returncode:
        raise Failure("%s: status %d: %s" % (" ".join(words), done.returncode, text.strip()))
    return text


class Lab:
    """The VM, the engine's programs and the recordings."""

    def __init__(self, program, work, folder):
        self.work = work
        self.number = int(os.environ.get("DRX_VM_LAB", "0"))
        self.address = "10.77.%d.1" % self.number
        self.captures = os.path.join(os.path.dirname(program), "..", "captures")
        if not os.path.isdir(self.captures):
            raise Failure("no recordings in %s" % self.captures)
        self.kernel = Kernel(program, self)
        self.engine = Engine(folder, self)

    def open(self):
        used = self.kernel.lab("list").strip()
        if used:
            raise Failure(
                "the lab %d is in use; DRX_VM_LAB=1..250 names another one:\n%s"
                % (self.number, used)
            )
        self.kernel.boot()

    def close(self):
        self.engine.stop()
        self.kernel.cut_power()
        self.kernel.lab("netdown", check=False)

    def kinds(self, recordings):
        kinds = set()
        for name in recordings:
            for node in "ab":
                with open("%s/%s.dmesg-%s" % (self.captures, name, node)) as file:
                    kinds |= {kind for line in file for kind in kinds_of(line)}
        return kinds


def kinds_of(line):
    """A kernel message without what differs between two runs; each change of a state by itself.

    The rule by which the generations were compared, and its result, are part of the kind.
    """
    line = re.sub(r"^\[ *[0-9.]+\] ", "", line.strip())
    rule = re.search(r"uuid_compare\(\).*", line)
    if rule:
        return {rule.group()}
    line = re.sub(r"\b[0-9A-F]{16}\b", "U", line)
    line = re.sub(r"0x[0-9a-f]+|-?[0-9]+(\.[0-9]+)?", "N", line)
    changes = re.findall(r"\w+\( \w+ -> \w+ \)", line)
    return {line.split(":")[0] + ": " + change for change in changes} or {line}


def common(states):
    """What all volumes have; where they differ, all of it."""
    if not states:
        return ("Unconfigured", "", "")
    return tuple(",".join(sorted(set(parts))) for parts in zip(*states))


def check_marks(lines):
    """Bit 0 of the generation that bsrd reports when it connects says whether it is Primary."""
    generation = None
    for line in lines:
        found = re.search(r"peer ([0-9A-F]{16}):", line)
        generation = int(found.group(1), 16) if found else generation
        role = re.search(r"peer\( Unknown -> (\w+) \)", line)
        if role and generation is not None:
            if generation & 1 != (role.group(1) == "Primary"):
                raise Failure("generation %016X of a %s" % (generation, role.group(1)))
            generation = None


def is_of_drbd(line):
    """Whether a line of dmesg is DRBD's and tells more than the timing of this run.

    A slow disk makes a line about the bitmap's pages, two nodes that dial at once one about
    packets that crossed.
    """
    if re.search("pages took|initial packet . crossed", line):
        return False
    return re.match(r"\[ *[0-9.]+\] (block )?(drbd|lru)", line) is not None


class Kernel:
    """The node in the VM: drbd.ko, administered by drbdadm."""

    name = "kernel"
    devices = ["/dev/vda", "/dev/vdb"]

    def __init__(self, program, lab):
        self.program = program
        self.paths = [lab.work + "/kernel.disk%d" % volume for volume in VOLUMES]
        self.configuration = lab.work + "/kernel.res"
        self.address = None
        self.is_up = False

    def lab(self, *words, **options):
        return tool(self.program, *words, **options)

    def boot(self):
        disks = []
        for path in self.paths:
            disks += ["--disk", path]
            if not os.path.exists(path):
                with open(path, "wb") as file:
                    file.truncate(Nodes.DISK)
        self.is_up = True
        self.lab("start", self.name, *disks, "--mods", "drbd", timeout=200)
        self.address = self.lab("ip", self.name).strip()
        if os.path.exists(self.configuration):
            self.lab("put", self.name, self.configuration, "/etc/drbd.d/r0.res")

    def cut_power(self):
        if self.is_up:
            self.lab("kill", self.name, check=False)
        self.is_up = False

    def run(self, command, check=True):
        return tool(self.program, "run", self.name, "-t", "60", command, check=check, timeout=70)

    def version(self):
        return self.run("uname -r; head -1 /proc/drbd").replace("\n", " ").strip()

    def configure(self, text):
        with open(self.configuration, "w") as file:
            file.write(text)
        self.lab("put", self.name, self.configuration, "/etc/drbd.d/r0.res")

    def admin(self, *words, check=True):
        return self.run("drbdadm %s r0 2>&1" % " ".join(words), check=check)

    def state(self):
        """Connection, roles and disks: own before the peer's, as /proc/drbd shows them."""
        return common(re.findall(r"\d: cs:(\S+) ro:(\S+) ds:(\S+) ", self.run("cat /proc/drbd")))

    def write(self, offset, size, pattern, durable=False, volume=0):
        flags = ",dsync" if durable else ""
        self.run(
            KERNEL_WRITE.format(
                octal=pattern, size=size, offset=offset, flags=flags, volume=volume
            )
        )

    def write_mixture(self):
        """Sizes from a sector to several epochs; discards and zeroes; a flush without data."""
        for place, size in enumerate([512, 1024, 4096, 16384, 65536, 131072]):
            self.write(place << 18, size, 65 + place, durable=place % 2 == 0)
        self.run(
            "dd if=/dev/urandom of=/dev/drbd0 bs=256k count=6 seek=8 conv=fsync,notrunc "
            "2>/dev/null; blockdev --flushbufs /dev/drbd0; "
            "blkdiscard -o 65536 -l 65536 /dev/drbd0; "
            "xfs_io -d -c 'fzero 1048576 32768' -c 'fpunch 1310720 8192' /dev/drbd0"
        )

    def out_of_sync(self):
        """KiB of the first volume that the nodes do not have in common."""
        found = re.search(r" oos:(\d+)", self.run("cat /proc/drbd"))
        return int(found.group(1)) if found else 0

    def messages(self, command="dmesg"):
        return [line for line in self.run(command).splitlines() if is_of_drbd(line)]


class Engine:
    """The node on the host: bsrd, administered by bsradm."""

    name = "engine"

    def __init__(self, folder, lab):
        self.folder = folder
        self.run_folder = lab.work
        self.paths = [lab.work + "/engine.disk%d" % volume for volume in VOLUMES]
        self.devices = self.paths
        self.configuration = lab.work + "/r0.res"
        self.address = lab.address
        self.process = None
        self.version = tool(folder + "/bsrd", "--version").strip()
        self.version = "bsrd " + self.version

    def start(self):
        self.log = open(self.run_folder + "/bsrd.log", "a")
        self.process = subprocess.Popen(
            [self.folder + "/bsrd", "--node", self.name, "--run-dir", self.run_folder],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        ready = [self.folder + "/bsrsetup", "--run-dir", self.run_folder, "status"]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        wait_until("bsrd answers", lambda: subprocess.call(ready, **silent) in (0, 10))

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                status = self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                status = self.process.wait()
            self.process = None
            return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def configure(self, text):
        with open(self.configuration, "w") as file:
            file.write(text)

    def messages(self):
        with open(self.run_folder + "/bsrd.log") as file:
            return file.read().splitlines()

    def admin(self, *words, check=True):
        if self.process and self.process.poll() is not None:
            raise Failure("bsrd has ended with status %d" % self.process.returncode)
        return tool(
            self.folder + "/bsradm", "-c", self.configuration, "--node", self.name,
            "--run-dir", self.run_folder, *words, "r0", check=check,
        )

    def state(self):
        text = tool(
            self.folder + "/bsrsetup", "--run-dir", self.run_folder, "status", "r0", "--json",
            check=False,
        )
        try:
            resource = json.loads(text)[0]
        except (ValueError, IndexError):
            return ("Unconfigured", "", "")
        peer = resource["connections"][0] if resource["connections"] else {}
        theirs = peer.get("peer_devices") or [{}] * len(resource["devices"])
        states = []
        for device, their in zip(resource["devices"], theirs):
            connection = peer.get("connection-state", "StandAlone")
            if connection == "Connected":
                connection = their.get("replication-state")
                connection = "Connected" if connection == "Established" else connection
            roles = "%s/%s" % (resource["role"], peer.get("peer-role"))
            disks = "%s/%s" % (device["disk-state"], their.get("peer-disk-state"))
            states.append((connection, roles, disks))
        return common(states)

    def client(self, *commands, volume=0):
        uri = self.admin("sh-dev").split()[volume]
        words = [word for command in commands for word in ("-c", command)]
        text = tool("qemu-io", "-f", "raw", "-t", "writeback", *words, uri)
        if "rror" in text or "failed" in text:
            raise Failure("qemu-io %s: %s" % (" ".join(commands), text.strip()))

    def write(self, offset, size, pattern, durable=False, volume=0):
        flags = "-f" if durable else ""
        self.client("write %s -P %d %d %d" % (flags, pattern, offset, size), volume=volume)

    def write_mixture(self):
        commands = []
        for place, size in enumerate([512, 1024, 4096, 16384, 65536, 131072]):
            flags = "-f" if place % 2 == 0 else ""
            commands.append("write %s -P %d %d %d" % (flags, 65 + place, place << 18, size))
        for place in range(6):
            commands.append("aio_write -P %d %d 262144" % (97 + place, (8 + place) << 18))
        commands += ["aio_flush", "flush", "flush", "discard 65536 65536"]
        commands += ["write -z 1048576 32768", "write -z -u 1310720 8192"]
        self.client(*commands)


class Nodes:
    """One resource on both nodes, from create-md to down."""

    DISK = 8 << 20

    def __init__(self, lab, name):
        self.lab = lab
        self.name = name
        self.kernel = lab.kernel
        self.engine = lab.engine
        self.both = (self.kernel, self.engine)
        self.capture = None
        self.earlier = []
        self.volumes = 1

    def open(self):
        """Fills both disks, empties the kernel's log, starts bsrd."""
        self.capture = self.start_capture()
        source = random.Random(self.name)
        for node in self.both:
            for path in node.paths:
                # In place: the VM has its file open.
                with open(path, "r+b" if os.path.exists(path) else "wb") as file:
                    file.write(source.randbytes(self.DISK))
        self.kernel.run("dmesg -c >/dev/null; echo 3 >/proc/sys/vm/drop_caches")
        self.engine.start()

    def start_capture(self):
        if not shutil.which("tcpdump"):
            return None
        path = "%s/%s.pcap" % (self.lab.work, self.name)
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(
            ["tcpdump", "-Z", "root", "-i", "drxbr%d" % self.lab.number, "-s", "0",
             "-B", "65536", "-w", path, "tcp port %d" % PORT],
            **silent,
        )

    def close(self):
        """Leaves nothing of the resource, whatever has happened; a VM that hangs gets a new one."""
        self.engine.stop()
        if self.capture:
            self.capture.terminate()
            self.capture.wait()
        try:
            self.kernel.lab("link", self.kernel.name, "up")
            self.kernel.run("tc qdisc del dev eth1 root 2>/dev/null", check=False)
            self.kernel.run("drbdsetup down r0 2>/dev/null", check=False)
            if self.kernel.state()[0] == "Unconfigured":
                return
        except Failure:
            pass
        self.kernel.cut_power()
        self.kernel.boot()

    def explain(self):
        """The states of both nodes and their last messages."""
        for node in self.both:
            try:
                print("     | %s: %s" % (node.name, " ".join(node.state())))
                for line in node.messages()[-8:]:
                    print("     |   " + line)
            except Failure as failure:
                print("     | %s: %s" % (node.name, failure))

    def peer(self, node):
        return self.engine if node is self.kernel else self.kernel

    # Configuration

    def up(self, network="protocol C;", disk="", kernel_network="", volumes=1):
        """New metadata, the same resource file on both nodes, connected."""
        self.volumes = volumes
        text = "global { usage-count no; }\nresource r0 {\n"
        text += "    net { %s }\n    disk { %s }\n" % (network, disk)
        for node in self.both:
            text += "    on %s {\n        address %s:%d;\n" % (node.name, node.address, PORT)
            for volume in range(volumes):
                parts = "device /dev/drbd%d minor %d; disk %s; meta-disk internal;" % (
                    volume, volume, node.devices[volume],
                )
                # One volume in the short form, more of them in their sections.
                text += "        %s\n" % (
                    parts if volumes == 1 else "volume %d { %s }" % (volume, parts)
                )
            text += "    }\n"
        text += "}\n"
        self.engine.configure(text)
        self.kernel.configure(text.replace(network, network + kernel_network))
        for node in self.both:
            node.admin("create-md", "--force")
            node.admin("up")
        self.wait(self.kernel, "Connected")
        self.wait(self.engine, "Connected")

    def down(self, first):
        for node in (first, self.peer(first)):
            node.admin("down")
            self.wait(node, "Unconfigured")
        status = self.engine.stop()
        if status:
            raise Failure("bsrd has ended with status %d" % status)

    # Waiting and checking

    def wait(self, node, connection=None, roles=None, disks=None):
        wanted = (connection, roles, disks)
        seen = []

        def reached():
            seen[:] = node.state()
            return all(w in (None, s) for w, s in zip(wanted, seen))

        try:
            wait_until("", reached)
        except Failure:
            raise Failure("%s is %s and not %s" % (node.name, tuple(seen), wanted)) from None

    def synchronised(self):
        for node in self.both:
            self.wait(node, "Connected", disks="UpToDate/UpToDate")

    def size(self, volume=0):
        """Bytes of a volume as the kernel sees it."""
        size = 512 * int(self.kernel.run("cat /sys/block/drbd%d/size" % volume))
        if not 0 < size < self.DISK:
            raise Failure("the device has %d bytes" % size)
        return size

    def equal(self, what):
        """The backing files have the same bytes; protocols A and B may take a moment."""
        for volume in range(self.volumes):
            size = self.size(volume)
            paths = (self.kernel.paths[volume], self.engine.paths[volume])

            def same():
                with open(paths[0], "rb") as one, open(paths[1], "rb") as other:
                    return one.read(size) == other.read(size)

            try:
                wait_until("", same)
            except Failure:
                raise Failure("%s: the data of volume %d differs" % (what, volume)) from None

    def check_messages(self, recordings, extra):
        known = self.lab.kinds(recordings)
        for line in extra:
            known |= kinds_of(line)
        lines = self.earlier + self.kernel.messages()
        with open("%s/%s.dmesg" % (self.lab.work, self.name), "w") as file:
            file.writelines(line + "\n" for line in lines)
        check_marks(lines)
        unknown = [line for line in lines if not kinds_of(line) <= known]
        for line in unknown:
            print("     | not in %s: %s" % (" ".join(recordings), line))
        if unknown:
            raise Failure("%d kernel messages that two kernels do not log" % len(unknown))

    # Steps

    def first_sync(self, primary):
        primary.admin("primary", "--force")
        self.synchronised()
        self.equal("initial sync from " + primary.name)

    def swap(self, primary):
        self.peer(primary).admin("secondary")
        primary.admin("primary")

    def interrupt(self, primary, leaving, pattern):
        """`leaving` disconnects, three blocks change, and only they travel afterwards."""
        leaving.admin("disconnect")
        self.wait(leaving, "StandAlone")
        self.wait(self.peer(leaving), "Connecting" if leaving is self.kernel else "WFConnection")
        primary.write(32 << 10, 8192, pattern)
        primary.write(7_000 << 10, 4096, pattern + 1, durable=True)
        self.resync(leaving, "connect", 12)
        self.equal("resync after %s disconnected" % leaving.name)

    def resync(self, node, command, *sizes):
        """`command` on `node` makes each volume resync; see `resynced`."""
        self.keep_messages()
        node.admin(command)
        self.resynced(*sizes)

    def resynced(self, *sizes):
        """Both are synchronised by one resync of each volume since the messages were kept.

        `sizes` are their KiB by the kernel's count: a number or a range of numbers.
        """
        self.synchronised()
        text = "\n".join(self.kernel.messages())
        found = re.findall(r"block drbd(\d): Began resync .*will sync (\d+) KB", text)
        counts = [int(count) for _, count in sorted(found)]
        ranges = [size if isinstance(size, range) else (size,) for size in sizes]
        if len(counts) != len(ranges) or any(c not in r for c, r in zip(counts, ranges)):
            raise Failure("resyncs of %s KiB and not of %s" % (counts, list(sizes)))

    def not_resynced(self):
        if any("Began resync" in line for line in self.earlier + self.kernel.messages()):
            raise Failure("there was a resync")

    def cut(self, node, write, size):
        """`node` loses power; `write` happens at the other one; then `node` is back.

        The resync is of `size` KiB: what the other one wrote, and if `node` was Primary the
        extents that its activity log has.
        """
        self.keep_messages()
        if node is self.kernel:
            node.cut_power()
        else:
            node.kill()
        if write:
            write()
        if node is self.kernel:
            node.boot()
        else:
            node.start()
        node.admin("up")
        self.resynced(size)

    def cut_link(self):
        """Nothing passes between the nodes, and both have noticed."""
        self.kernel.lab("link", self.kernel.name, "down")
        self.wait(self.kernel, "WFConnection")
        self.wait(self.engine, "Connecting")

    def heal_link(self, *sizes):
        """Packets pass again; see `resynced`."""
        self.keep_messages()
        self.kernel.lab("link", self.kernel.name, "up")
        self.resynced(*sizes)

    def keep_messages(self):
        """Sets the kernel's messages so far aside for the check at the end."""
        self.earlier += self.kernel.messages("dmesg -c")
