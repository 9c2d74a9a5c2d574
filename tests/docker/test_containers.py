"""What can be held of the containers where no engine runs them: files, users, pins, the schema."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from click.testing import CliRunner
from packaging.specifiers import SpecifierSet
from tests.conftest import ROOT

from ttc_bench.cli import cli

DOCKER = ROOT / ".docker"
LINES = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def of(instruction: str) -> list[str]:
    return [line.partition(" ")[2] for line in LINES if line.startswith(instruction + " ")]


def test_every_file_that_is_copied_or_mounted_is_there_and_let_in() -> None:
    allowed = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    for line in of("COPY"):
        if "--from=" in line:
            continue
        *sources, _ = [word for word in line.split() if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{source}" in allowed, f"the build would not find {source}"
    compose = yaml.safe_load((DOCKER / "compose.yml").read_text())
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            place = volume.split(":")[0]
            assert place in compose["volumes"] or (DOCKER / place).exists(), place
    assert not {line for line in allowed if "local" in line and line.startswith("!")}, "no secrets"


def test_the_image_runs_as_a_user_on_the_python_that_the_project_wants() -> None:
    assert of("USER") == ["1000"]
    wanted = re.search(r'requires-python = "(.*)"', (ROOT / "pyproject.toml").read_text())
    assert wanted
    for image in of("FROM"):
        version = image.split(":")[1].split("-")[0]
        assert SpecifierSet(wanted[1]).contains(version), "an image of another Python"


def test_commands_of_the_services_exist() -> None:
    options = CliRunner().invoke(cli, ["dashboard", "--help"]).output
    (command,) = of("CMD")[-1:]
    assert "kedro" in command
    assert all(word in options for word in re.findall(r"--\w+", command))


def test_the_compose_file_keeps_its_schema_and_publishes_nothing_to_others() -> None:
    subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
         str(DOCKER / "compose.yml")],
        check=True,
        capture_output=True,
    )  # fmt: skip
    compose = yaml.safe_load((DOCKER / "compose.yml").read_text())
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "PASSWORD: ${POSTGRES_PASSWORD:?" in Path(DOCKER / "compose.yml").read_text()
    # Every process of a machine sees command lines, and an address reads signs of a password.
    commands = [str(service.get("command")) for service in compose["services"].values()]
    assert not [command for command in commands if "${" in command]


def test_the_tracking_server_answers_whoever_its_port_is_published_to() -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    server = yaml.safe_load((DOCKER / "compose.yml").read_text())["services"]["mlflow"]
    words = server["command"].split()
    hosts = words[words.index("--allowed-hosts") + 1].split(",")
    tracked = yaml.safe_load((DOCKER / "mlflow.yml").read_text())["server"]["mlflow_tracking_uri"]
    (published,) = (port.rpartition(":")[0] for port in server["ports"])
    asked = {urlsplit(tracked).netloc, published, published.replace("127.0.0.1", "localhost")}
    assert [host for host in asked if not is_allowed_host_header(hosts, host)] == []
