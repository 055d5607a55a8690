"""What is given to be deployed says only what the command line, the page and systemd know."""

import argparse
import configparser
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.cli.main import build_parser
from reconciler.cli.run import SECRET, TOKEN
from reconciler.web import Address, address_of
from reconciler.web.endpoints import OPEN

DEPLOY = Path(str(files("reconciler.deploy")))
UNITS = sorted(path.name for path in DEPLOY.iterdir() if path.suffix in (".service", ".timer"))
MANIFESTS = ["kubernetes.yaml", "container-apps.yaml"]


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))


def container(name: str) -> dict[str, Any]:
    """The one container of a manifest."""
    found: list[dict[str, Any]] = []

    def search(part: Any) -> None:
        if isinstance(part, dict):
            found.extend(part.get("containers", ()))
            part = list(part.values())
        if isinstance(part, list):
            for one in part:
                search(one)

    search(documents(name))
    (only,) = found
    return only


def commands(unit: str) -> Iterator[list[str]]:
    """The command lines of ours in a unit of systemd."""
    parsed = configparser.RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(DEPLOY / unit)
    if parsed.has_section("Service"):
        program, *words = shlex.split(parsed["Service"]["ExecStart"])
        assert program.endswith("/reconciler")
        yield words


def parsed(words: list[str]) -> argparse.Namespace:
    return build_parser().parse_args(words)


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_gives_arguments_that_the_command_takes(name: str) -> None:
    box = container(name)
    given = parsed(box["args"])
    assert (given.command, given.interval) == ("run", 60.0)
    names = {variable["name"] for variable in box["env"]}
    assert TOKEN in names
    assert given.git_token_env in names, "a token that no flag names is never used"
    assert names <= {TOKEN, SECRET, given.git_token_env, "AZURE_CLIENT_ID"}
    assert address_of(given.http, token="of sixteen letters") == Address("0.0.0.0", 8080)
    assert given.http_host, "browsers reach it by a name"


@pytest.mark.parametrize("name", MANIFESTS)
def test_what_probes_ask_for_is_there_and_needs_no_token(name: str) -> None:
    box = container(name)
    probes = [probe for key, probe in box.items() if key.endswith("Probe")] + box.get("probes", [])
    assert {probe["httpGet"]["path"] for probe in probes} == {"/readyz", "/healthz"}
    assert {"/readyz", "/healthz"} <= OPEN
    ports = {port["name"]: port["containerPort"] for port in box.get("ports", ())}
    assert {ports.get(probe["httpGet"]["port"], probe["httpGet"]["port"]) for probe in probes} == {8080}


def test_names_within_the_manifest_of_kubernetes_fit_together() -> None:
    by_kind = {document["kind"]: document for document in documents("kubernetes.yaml")}
    pod = by_kind["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    for selector in (
        by_kind["Deployment"]["spec"]["selector"]["matchLabels"],
        by_kind["Service"]["spec"]["selector"],
        by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    secret = by_kind["Secret"]
    box = container("kubernetes.yaml")
    for variable in box["env"]:
        reference = variable["valueFrom"]["secretKeyRef"]
        assert reference["name"] == secret["metadata"]["name"]
        assert reference["key"] in secret["stringData"]
    assert pod["spec"]["serviceAccountName"] == by_kind["ServiceAccount"]["metadata"]["name"]
    assert {mount["name"] for mount in box["volumeMounts"]} == {volume["name"] for volume in pod["spec"]["volumes"]}
    assert by_kind["Service"]["metadata"]["name"] in parsed(box["args"]).http_host


def test_secrets_of_container_apps_are_those_that_are_named() -> None:
    (document,) = documents("container-apps.yaml")
    secrets = {secret["name"] for secret in document["properties"]["configuration"]["secrets"]}
    named = {variable["secretRef"] for variable in container("container-apps.yaml")["env"] if "secretRef" in variable}
    assert named == secrets


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_runs_a_command_that_there_is(unit: str) -> None:
    lines = list(commands(unit))
    assert len(lines) == unit.endswith(".service")
    for words in lines:
        assert parsed(words).command in ("run", "apply")


def test_the_state_of_units_and_of_the_image_is_where_we_look_for_it() -> None:
    image = (DEPLOY / "Dockerfile").read_text("utf-8")
    for text in (image, *((DEPLOY / unit).read_text("utf-8") for unit in UNITS if unit.endswith(".service"))):
        assert re.search(r"XDG_STATE_HOME=/var/lib$", text, re.MULTILINE)
    extras = re.search(r"\[([a-z,]+)\]", image)
    assert extras is not None
    known = Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8")
    assert all(re.search(rf"^{extra} = \[", known, re.MULTILINE) for extra in extras[1].split(","))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_no_fault_in_a_unit(unit: str, tmp_path: Path) -> None:
    """With a program that is there in the place of ours."""
    for name in UNITS:
        text = (DEPLOY / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace("/opt/reconciler/bin/reconciler", "/bin/true"), "utf-8")
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit)], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stderr) == (0, "")
