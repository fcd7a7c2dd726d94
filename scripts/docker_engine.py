"""A Docker engine for scripts/docker-test: the one that runs, or one of our own.

An engine that answers, and that has or can fetch the images which the Dockerfile names, is used as it is. Where there
is none, and we are root, one is started in network and mount namespaces of its own: it shares nothing with any other
engine, and its bridges and rules vanish with it. It has no way out to the network either, so its base images are made
here, with debootstrap and the Rust that this machine has. They bear the names that the Dockerfile uses, so the very
Dockerfile that others use is tested, and they never get into an engine that is not ours.

What our own engine stores stays in target/docker-test, so that a second run need not make it again.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
STORE = ROOT / "target" / "docker-test"
SUITE = "bookworm"
TOOLCHAIN = "chord-docker-test/toolchain"
LABEL = "chord.docker-test.made-from"
INSIDE = "CHORD_DOCKER_TEST_INSIDE"
PULL_SECONDS = 300
BOOTSTRAP_SECONDS = 300
IMPORT_SECONDS = 180
START_SECONDS = 30
STOP_SECONDS = 30
# How long what an earlier commit was built from stays in our own engine.
KEEP_HOURS = 48
CRATES = "/usr/local/cargo"
CARGO_CONFIG = f"""\
[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "{CRATES}/vendor"
"""
CRATES_DOCKERFILE = f"""\
FROM {TOOLCHAIN}
COPY vendor {CRATES}/vendor
COPY config.toml {CRATES}/config.toml
"""
# What slim images leave out, and what belongs to this machine.
LEFT_OUT = ["usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "var/lib/apt/lists", "var/cache",
            "var/log/*", "dev", "proc", "sys", "etc/resolv.conf", "etc/hostname"]


class Failed(Exception):
    """The test cannot go on, and why."""


def say(text):
    print(text, flush=True)


def run(*command, seconds=60, check=True, **options):
    """Runs a command to its end; what it prints comes back as text."""
    options = {"stdin": subprocess.DEVNULL} | options if "input" not in options else options
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, **options)
    except subprocess.TimeoutExpired:
        raise Failed(f"`{shown(command)}` had not ended after {seconds} s") from None
    if check and done.returncode != 0:
        raise Failed(f"`{shown(command)}` ended with {done.returncode}: {last_lines(done.stderr or done.stdout)}")
    return done


def shown(command):
    return " ".join(command)[:200]


def last_lines(text, count=15):
    return "\n".join(text.strip().splitlines()[-count:])


def base_images():
    """The images that the Dockerfile begins with, the builder's first."""
    return re.findall(r"^FROM\s+(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def answers():
    with contextlib.suppress(OSError, Failed):
        return run("docker", "info", check=False).returncode == 0
    return False


def fetch(image):
    """Whether the engine has the image, or gets it from its registry."""
    if run("docker", "image", "inspect", image, check=False).returncode == 0:
        return True
    say(f"fetching {image}")
    with contextlib.suppress(Failed):
        return run("docker", "pull", image, seconds=PULL_SECONDS, check=False).returncode == 0
    return False


@contextlib.contextmanager
def engine(own, binary=None):
    """An engine that has the base images. With `own` or without another one it is ours, and DOCKER_HOST says where.

    With a program that is there, the engine is ours too, and its builder has that instead of a compiler.
    """
    if INSIDE in os.environ:
        with own_engine(binary):
            yield
    elif not own and binary is None and answers():
        for image in base_images():
            if not fetch(image):
                raise Failed(f"the Docker engine has no {image} and cannot fetch it. With an engine and base images "
                             "made on this machine instead: scripts/docker-test --own-engine")
        yield
    else:
        prepare(binary is None)
        enter_namespaces()


def prepare(builds):
    """What our own engine needs from the network, which it cannot reach: two root file systems, and the crates."""
    if os.geteuid() != 0:
        raise Failed("no Docker engine answers; to start one here, scripts/docker-test must run as root")
    needed = ["docker", "dockerd", "debootstrap", "iptables", "ip", "unshare", "setpriv", "tar", "cargo", "rustc"]
    missing = [name for name in needed if shutil.which(name) is None]
    if missing:
        raise Failed(f"no Docker engine answers; to start one here, these programs are missing: {' '.join(missing)}. "
                     "On Debian: apt-get install docker.io iptables iproute2 debootstrap")
    say("Starting a Docker engine of our own, with base images that are made here: no registry is asked")
    STORE.mkdir(parents=True, exist_ok=True)
    if not (STORE / "debian.tar").exists() or builds and not (STORE / "build-root").exists():
        bootstrap(builds)
    if builds:
        vendor()


def bootstrap(builds):
    say("Making Debian's base and the builder's, once" if builds else "Making Debian's base, once")
    root = STORE / "new-root"
    shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(STORE / "build-root", ignore_errors=True)
    run("debootstrap", "--variant=minbase", SUITE, str(root), seconds=BOOTSTRAP_SECONDS)
    tar = STORE / "new.tar"
    run("tar", "-C", str(root), *(f"--exclude=./{path}" for path in LEFT_OUT), "-cf", str(tar), ".",
        seconds=IMPORT_SECONDS)
    tar.rename(STORE / "debian.tar")
    if not builds:
        shutil.rmtree(root)
        return
    install = "apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev"
    run("chroot", str(root), "sh", "-c", install, seconds=BOOTSTRAP_SECONDS,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    root.rename(STORE / "build-root")


def vendor():
    """The crates, as sources in one folder: a build needs no registry then."""
    folder = STORE / "crates"
    folder.mkdir(exist_ok=True)
    run("cargo", "vendor", "--locked", "--versioned-dirs", str(folder / "vendor"), seconds=BOOTSTRAP_SECONDS, cwd=ROOT)
    (folder / "config.toml").write_text(CARGO_CONFIG)
    (folder / "Dockerfile").write_text(CRATES_DOCKERFILE)


def enter_namespaces():
    """Begins again in namespaces of our own. Does not return."""
    sys.stdout.flush()
    command = ["unshare", "--net", "--mount", "--", sys.executable, *sys.argv]
    os.execvpe(command[0], command, os.environ | {INSIDE: "yes"})


@contextlib.contextmanager
def own_engine(binary):
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context((STORE / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed("another scripts/docker-test runs in this folder") from None
        run("ip", "link", "set", "lo", "up")
        # A socket's path may have 107 bytes, and that of the repository may be longer.
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="chord-docker-", ignore_cleanup_errors=True))
        log = STORE / "engine.log"
        address = f"unix://{scratch}/docker.sock"
        options = [f"--data-root={STORE}/engine", f"--exec-root={scratch}/exec", f"--host={address}",
                   f"--pidfile={scratch}/pid"]
        # If this process is killed, the engine gets SIGTERM. Ctrl-C must not reach it before its containers are gone.
        process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", "dockerd", *options],
                                   stdin=subprocess.DEVNULL, stdout=stack.enter_context(log.open("w")),
                                   stderr=subprocess.STDOUT, start_new_session=True)
        stack.callback(stop, process)
        os.environ["DOCKER_HOST"] = address
        started = time.monotonic()
        while not answers():
            if process.poll() is not None or time.monotonic() - started > START_SECONDS:
                raise Failed(f"the Docker engine did not start: {last_lines(log.read_text())}")
            time.sleep(0.2)
        clear()
        make_base_images(binary)
        yield


def clear():
    """Removes from our own engine what a run left that was killed."""
    left = run("docker", "ps", "--all", "--quiet").stdout.split()
    if left:
        run("docker", "rm", "--force", *left)
    for kind in ("network", "volume"):
        run("docker", kind, "prune", "--force")
    # What older commits were built from.
    run("docker", "image", "prune", "--force", "--filter", f"until={KEEP_HOURS}h", seconds=IMPORT_SECONDS)


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        say("The Docker engine does not end by itself: killing it")
        process.kill()
        process.wait()


def make_base_images(binary):
    """Gives our own engine what the Dockerfile begins with, unless it has it from an earlier run."""
    builder, runtime = base_images()
    debian = digest(str((STORE / "debian.tar").stat().st_mtime_ns))
    if made_from(runtime) != debian:
        import_image(f"cat {shlex.quote(str(STORE / 'debian.tar'))}", runtime, debian, 'CMD ["bash"]')
    if binary is not None:
        make_builder_of(binary, builder, runtime)
        return
    compiler = run("rustc", "-vV").stdout
    toolchain = digest(debian, compiler)
    if made_from(TOOLCHAIN) != toolchain:
        import_image(toolchain_archive(), TOOLCHAIN, toolchain, "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                     f"ENV CARGO_HOME={CRATES}")
    crates = digest(toolchain, (ROOT / "Cargo.lock").read_text())
    if made_from(builder) != crates:
        run("docker", "build", "--label", f"{LABEL}={crates}", "--tag", builder, str(STORE / "crates"),
            seconds=IMPORT_SECONDS)


def make_builder_of(binary, builder, runtime):
    """A builder whose cargo brings a program that is there, so that the Dockerfile is followed without compiling."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(binary, f"{folder}/chord")
        run("strip", f"{folder}/chord")
        cargo = pathlib.Path(folder, "cargo")
        cargo.write_text("#!/bin/sh -e\nmkdir -p target/release\ncp /usr/local/lib/chord target/release/chord\n")
        cargo.chmod(0o755)
        recipe = f"FROM {runtime}\nCOPY chord /usr/local/lib/chord\nCOPY cargo /usr/local/bin/cargo\n"
        pathlib.Path(folder, "Dockerfile").write_text(recipe)
        run("docker", "build", "--tag", builder, folder, seconds=IMPORT_SECONDS)


def toolchain_archive():
    """The command that prints the builder's root file system with this machine's Rust in /usr/local."""
    sysroot = run("rustc", "--print", "sysroot").stdout.strip()
    left_out = " ".join(f"--exclude={shlex.quote('./' + path)}" for path in LEFT_OUT)
    # No folder may come twice, so lib's contents are named, not lib itself.
    parts = ["bin/cargo", "bin/rustc", *(f"lib/{name}" for name in sorted(os.listdir(f"{sysroot}/lib")))]
    # Only what does not begin with ./ is Rust's, and moves; where links point to does not change.
    return (f"tar -c {left_out} --transform 'flags=r;s,^\\(bin\\|lib\\),usr/local/\\1,' "
            f"-C {shlex.quote(str(STORE / 'build-root'))} . -C {shlex.quote(sysroot)} {shlex.join(parts)}")


def import_image(archive, image, made, *changes):
    changes = [f"LABEL {LABEL}={made}", *changes]
    options = " ".join(f"--change {shlex.quote(change)}" for change in changes)
    run("bash", "-c", f"set -o pipefail; {archive} | docker import {options} - {shlex.quote(image)}",
        seconds=IMPORT_SECONDS)


def made_from(image):
    label = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    return run("docker", "image", "inspect", "--format", label, image, check=False).stdout.strip()


def digest(*parts):
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
