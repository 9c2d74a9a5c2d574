"""The Dockerfile without an engine: its lines one by one in clean roots, then what the image does.

    apt-get install debootstrap
    sudo python tests/performance/check_dockerfile.py
    sudo python tests/performance/check_dockerfile.py --bind /etc/xdg/pip --bind /opt/wheels

Each stage begins as a minimal Debian of the release that its image names, with Debian's Python in
the place of the image's. ``COPY`` takes what git tracks and ``Dockerfile.dockerignore`` lets in,
``RUN`` is run in the root, and so are, by the image's user, its command until its health check
passes, a small ``kedro run``, and the command of each other service of the compose file as far as
``--help``. ``--bind`` shows files of this machine inside, such as settings of pip.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / ".docker"
PACKAGES = ("python3.11", "python3.11-venv", "python-is-python3", "ca-certificates")
START_S = 120.0
RUN = "kedro run --pipeline=baseline --params=limit=2,timing.jobs=0"


@dataclass
class Stage:
    """A root as a stage of the Dockerfile leaves it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0"

    def command(self, *words: str) -> list[str]:
        """Return a command that runs words in the root, by its user, in its folder."""
        own = [f"{name}={value}" for name, value in self.environment.items()]
        place = ["chroot", f"--userspec={self.user}:{self.user}", str(self.root)]
        return [*place, "/usr/bin/env", "-C", self.folder, *own, *words]

    def run(self, *words: str) -> None:
        """Run words to their end; end if they fail."""
        start_s = time.monotonic()
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, env=passed_on(), check=False
        )
        if done.returncode:
            raise SystemExit(f"{shlex.join(words)} ended with {done.returncode}:\n{done.stderr}")
        print(f"  ok, {time.monotonic() - start_s:.0f} s", flush=True)


def passed_on() -> dict[str, str]:
    """Return the variables of this process that a build has, too."""
    named = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return {**named, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile with what they are given."""
    text = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Give a folder, which is removed unless something of this machine is still mounted in it."""
    place = Path(tempfile.mkdtemp(prefix="dockerfile"))
    try:
        yield place
    finally:
        if str(place) in Path("/proc/mounts").read_text():
            print(f"{place} is left: it has mounts")
        else:
            shutil.rmtree(place)


def debian(base: Path, release: str, mirror: str) -> None:
    """Make a minimal Debian with its Python."""
    own = ["--variant=minbase", release, str(base), mirror]
    print(f"debootstrap {shlex.join(own)}", flush=True)
    subprocess.run(["debootstrap", *own], check=True, stdout=subprocess.DEVNULL)
    shutil.copy("/etc/resolv.conf", base / "etc")
    install = f"apt-get -qq update && apt-get -qq -y install {' '.join(PACKAGES)}"
    Stage(base, {"DEBIAN_FRONTEND": "noninteractive"}).run("sh", "-c", install)


def new_root(base: Path, name: str, binds: list[Path], stack: contextlib.ExitStack) -> Stage:
    """Return a clean root with the kernel's files, and those of this machine that are wanted."""
    root = base.with_name(name)
    subprocess.run(["cp", "-a", str(base), str(root)], check=True)
    shutil.copy("/etc/resolv.conf", root / "etc")
    for path in (Path("/proc"), Path("/dev"), Path("/dev/shm"), *binds):
        place = root / path.relative_to("/")
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        access = "ro" if path in binds else "rw"
        subprocess.run(["mount", "-o", f"bind,{access}", str(path), str(place)], check=True)
        stack.callback(subprocess.run, ["umount", str(place)], check=True)
    return Stage(root)


def copy(stage: Stage, rest: str, others: dict[str, Stage]) -> None:
    """Copy files into a root as ``COPY`` does."""
    words = shlex.split(rest)
    options = dict(w[2:].split("=") for w in words if w.startswith("--"))
    *sources, target = [w for w in words if not w.startswith("--")]
    goal = stage.root / Path(stage.folder, target).relative_to("/")
    if "from" in options:
        (source,) = sources
        inside = others[options["from"]].root / source.removeprefix("/")
        subprocess.run(["cp", "-a", str(inside), str(goal)], check=True)
        return
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *sources]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    is_folder = target.endswith("/")
    for name in filter(None, tracked.split("\0")):
        within = Path(name).name if is_folder else Path(name).relative_to(sources[0])
        (goal / within).parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("conf/local/"):
            continue  # Its folder comes along, and nothing in it.
        shutil.copy2(ROOT / name, goal / within, follow_symlinks=False)
    if "chown" in options:
        Stage(stage.root).run("chown", "-R", options["chown"], str(Path(stage.folder, target)))


def build(base: Path, binds: list[Path], stack: contextlib.ExitStack) -> tuple[Stage, list[str]]:
    """Follow the Dockerfile; return the last stage and the command of its health check."""
    stages: dict[str, Stage] = {}
    stage, check = Stage(base), list[str]()
    for name, rest in instructions():
        print(f"{name} {rest}", flush=True)
        if name == "FROM":
            label = rest.partition(" AS ")[2] or "image"
            stage = stages[label] = new_root(base, label, binds, stack)
        elif name == "ENV":
            for word in shlex.split(rest):
                variable, _, value = word.partition("=")
                stage.environment[variable] = value.replace("$PATH", passed_on()["PATH"])
        elif name == "WORKDIR":
            stage.folder = rest
            (stage.root / rest.removeprefix("/")).mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            copy(stage, rest, stages)
        elif name == "RUN":
            stage.run("sh", "-c", rest)
        elif name == "USER":
            stage.user = rest
            stage.environment["HOME"] = "/home/ttc"
        elif name == "HEALTHCHECK":
            check = json.loads(rest.partition("CMD ")[2])
    return stage, check


@contextlib.contextmanager
def service(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Let a command run in a session of its own, which ends with the block."""
    process = subprocess.Popen(command, env=passed_on(), start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=START_S)


def serve(stage: Stage, check: list[str]) -> None:
    """Run the image's command until its health check passes."""
    command = json.loads(dict(instructions())["CMD"])
    print(shlex.join(command), flush=True)
    start_s = time.monotonic()
    with service(stage.command(*command)) as process:
        while subprocess.run(
            stage.command(*check), env=passed_on(), stderr=subprocess.DEVNULL, check=False
        ).returncode:
            if process.poll() is not None or time.monotonic() > start_s + START_S:
                raise SystemExit("the health check does not pass")
            time.sleep(1.0)
    print(f"  healthy after {time.monotonic() - start_s:.0f} s", flush=True)


def services(stage: Stage) -> None:
    """Ask the command of each service of the compose file that is this image's for its options."""
    import yaml

    compose = yaml.safe_load((DOCKER / "compose.yml").read_text())
    for name, own in compose["services"].items():
        command = own.get("command")
        if own.get("image") != "ttc-bench" or not isinstance(command, str):
            continue
        program = re.match(r"^[\w ]+?(?= -)", command)
        assert program, command
        print(f"{name}: {program[0]} --help", flush=True)
        stage.run(*program[0].split(), "--help")


def main() -> None:
    """Build and try; see the module's description."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bind", type=Path, action="append", default=[])
    parser.add_argument("--mirror", default="http://deb.debian.org/debian")
    parser.add_argument("--base", type=Path, help="such a Debian, from an earlier time")
    settings = parser.parse_args()
    release = re.search(r"FROM python:[\d.]+-slim-(\w+)", (DOCKER / "Dockerfile").read_text())
    assert release
    with folder() as place, contextlib.ExitStack() as stack:
        base = place / "base"
        if settings.base:
            subprocess.run(["cp", "-a", str(settings.base), str(base)], check=True)
        else:
            debian(base, release[1], settings.mirror)
        stage, check = build(base, settings.bind, stack)
        serve(stage, check)
        print(RUN, flush=True)
        stage.run(*RUN.split())
        services(stage)


if __name__ == "__main__":
    main()
