"""Machines to install the Debian package on: containers of systemd-nspawn with systemd, on a network of their own.

Debian's base is made by debootstrap, once. It takes root, cgroups, and Debian's packages debootstrap, systemd-container,
iproute2, dpkg-dev and binutils; the first run fetches 100 MB from a mirror of Debian.
"""

import argparse
import contextlib
import fcntl
import hashlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
STORE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "package-test"
# Set in the process that has a network of its own, to the package.
INSIDE = "CHORD_MACHINES_INSIDE"
SUITE = "bookworm"
INCLUDED = "systemd,systemd-sysv,dbus,iproute2,curl"
TOOLS = ["debootstrap", "systemd-nspawn", "ip", "unshare", "nsenter", "dpkg-deb", "dpkg-shlibdeps", "strip"]
NETWORK = "10.77.0"
PORT = 4567
BOOT_SECONDS = 90
# What systemd-nspawn ends with when its machine wants to start again.
REBOOTS = 133
READY_SECONDS = 60


class Failed(Exception):
    """What was promised does not hold, or the test cannot go on."""


def say(text):
    print(text, flush=True)


def run(*command, seconds=120, check=True, **options):
    options = {"stdin": subprocess.DEVNULL} | options if "input" not in options else options
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds,
                              **options)
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode(errors="replace")[-2000:]
        raise Failed(f"`{' '.join(command)[-300:]}` had not ended after {seconds} s: {said}") from None
    if check and done.returncode != 0:
        raise Failed(f"`{' '.join(command)[:200]}` ended with {done.returncode}: {done.stdout[-2000:]}")
    return done


def wait_for(what, holds, seconds):
    """Waits until `holds` says so; what it says last, if it does not, is in the error."""
    deadline, said = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            said = holds()
            if said is True:
                return
        time.sleep(0.2)
    raise Failed(f"{what}: not within {seconds} s: {said}")


def own_cgroups():
    """The folders of the cgroups that this process is in, those of systemd's kinds."""
    mine = {}
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mine[controllers] = path
    folders = []
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, where, kind, options = line.split(" ")[:4]
        if kind == "cgroup2" and "" in mine:
            folders.append(pathlib.Path(where + mine[""]))
        elif kind == "cgroup" and "name=systemd" in options.split(",") and "name=systemd" in mine:
            folders.append(pathlib.Path(where + mine["name=systemd"]))
    return folders


class Machine:
    """One container with systemd as its first process."""

    def __init__(self, number, base):
        self.name, self.address, self.process = f"node{number}", f"{NETWORK}.{number}", None
        self.root, self.log = STORE / "machines" / f"node{number}", STORE / f"node{number}.log"
        self.cgroups = [folder / f"chord-package-test-{self.name}" for folder in own_cgroups()]
        run("cp", "-a", "--reflink=auto", str(base), str(self.root))
        hosts = "".join(f"{NETWORK}.{other} node{other}\n" for other in range(1, 10))
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "var/log/journal").mkdir(exist_ok=True)  # the journal outlives the machine's restart then
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", f"to-{self.name}", "type", "veth", "peer", "name", "host0", "netns", self.name)
        run("ip", "link", "set", f"to-{self.name}", "master", "bridge0", "up")
        run("ip", "-n", self.name, "address", "add", f"{self.address}/24", "dev", "host0")
        for device in ("lo", "host0"):
            run("ip", "-n", self.name, "link", "set", device, "up")

    def enter_cgroups(self):
        """Called in the new process: machines that shared a tree of cgroups would find each other's services there."""
        for folder in self.cgroups:
            folder.mkdir(exist_ok=True)
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def boot(self):
        command = ["systemd-nspawn", f"--directory={self.root}", f"--machine={self.name}", "--register=no", "--keep-unit",
                   "--boot", f"--network-namespace-path=/run/netns/{self.name}", "--resolv-conf=off", "--timezone=off",
                   "--link-journal=no", "--console=pipe"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log.open("w"),
                                        stderr=subprocess.STDOUT, preexec_fn=self.enter_cgroups)
        self.wait_until_up()

    def wait_until_up(self):
        def is_up():
            state = self.shell("systemctl is-system-running", check=False).stdout.strip()
            return state in ("running", "degraded") or state
        wait_for(f"{self.name} runs", is_up, BOOT_SECONDS)

    def first_process(self):
        """The number of systemd in this container, as seen from outside."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            if pathlib.Path(f"/proc/{child}/comm").read_text().strip() in ("systemd", "init"):
                return child
        raise OSError(f"{self.name} has no systemd yet")

    def shell(self, script, seconds=60, check=True):
        environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root", "NO_COLOR=1",
                       "DEBIAN_FRONTEND=noninteractive"]
        return run("nsenter", "--target", self.first_process(), "--all", "--", *environment, "sh", "-ec", script,
                   seconds=seconds, check=check)

    def write(self, path, text):
        (self.root / path).write_text(text)

    def property(self, name, unit="chord"):
        return self.shell(f"systemctl show --property {name} --value {unit}").stdout.strip()

    def invocation_log(self, unit="chord", boot=0):
        return self.shell(f"journalctl --no-pager --output cat --boot {boot} --unit {unit}").stdout

    def ready(self, port=PORT):
        connection = http.client.HTTPConnection(self.address, port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            said = answer.read()
            return answer.status == 200 or said
        finally:
            connection.close()

    def wait_until_ready(self, port=PORT):
        wait_for(f"{self.name}:{port} is ready", lambda: self.ready(port), READY_SECONDS)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(BOOT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for top in self.cgroups:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def must(holds, sentence):
    if not holds:
        raise Failed(sentence)


def make_base():
    base = STORE / f"base-{hashlib.sha256(f'{SUITE} {INCLUDED}'.encode()).hexdigest()[:8]}"
    if not base.exists():
        say("Making Debian's base with systemd, once")
        shutil.rmtree(STORE / "new-base", ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={INCLUDED}", SUITE, str(STORE / "new-base"), seconds=900)
        (STORE / "new-base").rename(base)
    return base


def make_package(binary):
    made = run(str(ROOT / "scripts/package-deb"), "--binary", binary, str(STORE), seconds=600).stdout
    say(made.strip())
    return pathlib.Path(made.split(":")[0])


def make_newer(package):
    """The same package, but one that counts as newer."""
    folder, newer = STORE / "newer", STORE / "newer.deb"
    shutil.rmtree(folder, ignore_errors=True)
    run("dpkg-deb", "--raw-extract", str(package), str(folder))
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: (.*)$", r"Version: \1+newer", control.read_text(), flags=re.MULTILINE))
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(folder), str(newer))
    return newer


@contextlib.contextmanager
def machines_of(count):
    """So many machines on one network, which have booted."""
    lock = (STORE / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failed("scripts/package-test or scripts/runbooks runs in this folder already") from None
    shutil.rmtree(STORE / "machines", ignore_errors=True)
    (STORE / "machines").mkdir(parents=True)
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "bridge0", "type", "bridge")
    run("ip", "address", "add", f"{NETWORK}.254/24", "dev", "bridge0")
    run("ip", "link", "set", "bridge0", "up")
    machines = []
    try:
        for number in range(1, count + 1):
            machines.append(Machine(number, make_base()))
            machines[-1].boot()
        yield machines
    finally:
        for machine in machines:
            machine.end()
            run("ip", "netns", "delete", machine.name, check=False)
        shutil.rmtree(STORE / "machines", ignore_errors=True)
        lock.close()


def check_files(arguments):
    must(not arguments.binary or not arguments.deb, "--binary and --deb cannot both be given: a package has its program")
    must(arguments.binary is None or (os.path.isfile(arguments.binary) and os.access(arguments.binary, os.X_OK)),
         f"--binary {arguments.binary}: there is no such program")
    must(arguments.deb is None or arguments.deb.is_file(), f"--deb {arguments.deb}: there is no such file")


def begin(description, more_arguments=lambda parser: None, check=lambda arguments: None):
    """Reads the arguments, makes the package unless it was given, and goes on in a network and mounts of our own.

    `check` raises Failed if what is asked for is not there, before anything is made. Returns the arguments there, with `deb`, or
    ends the process.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="the program to package")
    parser.add_argument("--deb", type=pathlib.Path, help="a package that scripts/package-deb has made")
    more_arguments(parser)
    arguments = parser.parse_args()
    if INSIDE in os.environ:
        arguments.deb = pathlib.Path(os.environ[INSIDE])
        return arguments
    try:
        check_files(arguments)
        check(arguments)
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        sys.exit(2)
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        print(f"{sys.argv[0]} must run as root, and these programs are missing: {' '.join(missing) or 'none'}. "
              "On Debian: apt-get install debootstrap systemd-container iproute2 dpkg-dev binutils", file=sys.stderr)
        sys.exit(2)
    try:
        STORE.mkdir(parents=True, exist_ok=True)
        make_base()
        if arguments.binary is None and arguments.deb is None:
            subprocess.run(["cargo", "build", "--release", "--locked", "-p", "chord", "--bin", "chord"], check=True, cwd=ROOT)
            arguments.binary = str(STORE.parent / "release/chord")
        package = arguments.deb or make_package(os.path.abspath(arguments.binary))
    except Failed as failed:
        print(f"FAILED: {failed}", file=sys.stderr)
        sys.exit(1)
    # What is set up there ends with us.
    sys.stdout.flush()
    command = ["unshare", "--net", "--mount", "--", sys.executable, *sys.argv]
    os.execvpe(command[0], command, os.environ | {INSIDE: str(package.absolute())})
