"""Values and files beyond what the service, or we, take: each in a message with the bound and what was found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import ManifestErrors
from reconciler.manifest import items, load, read_variables, secrets

Findings = Callable[..., list[str]]
POOL = (
    "apiVersion: reconciler/v1\nkind: Pool\nmetadata: {name: cpu}\nspec:\n  vmSize: a\n"
    "  virtualMachineConfiguration: {imageReference: {virtualMachineImageId: i}, nodeAgentSKUId: n}\n"
)
JOB = "apiVersion: reconciler/v1\nkind: Job\nmetadata: {name: nightly}\nspec:\n  poolInfo: {poolId: cpu}\n"


def endpoint(name: str = "ssh", first: int = 1000, last: int = 1999, port: int = 22, rules: str = "") -> str:
    return (
        f"{{name: {name}, protocol: tcp, backendPort: {port}, frontendPortRangeStart: {first}, "
        f"frontendPortRangeEnd: {last}{rules}}}"
    )


def network(*endpoints: str) -> str:
    return f"  networkConfiguration: {{endpointConfiguration: {{inboundNATPools: [{', '.join(endpoints)}]}}}}"


def rules(*priorities: int, ports: str = "'*'") -> str:
    found = (
        f"{{priority: {p}, access: allow, sourceAddressPrefix: '*', sourcePortRanges: [{ports}]}}" for p in priorities
    )
    return f", networkSecurityGroupRules: [{', '.join(found)}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            JOB + "  maxParallelTasks: 0\n",
            "expected -1 (no limit) or a number above 0, found the number 0",
        ),
        (
            JOB + "tasks: [{id: t, commandLine: x, resourceFiles: [{httpUrl: 'https://h/f', filePath: ../x}]}]\n",
            "filePath: expected a path below the task's working directory, without '..', found '../x'",
        ),
        (
            JOB + "tasks: [{id: t, commandLine: x, resourceFiles: [{httpUrl: 'https://h/f', filePath: x, "
            "fileMode: rwx}]}]\n",
            "fileMode: expected an octal mode as text, such as '0770', found 'rwx'",
        ),
        (
            JOB + "tasks: [{id: t, commandLine: x, environmentSettings: [{name: a=b, value: c}]}]\n",
            "name: expected the name of a variable: at least 1 character, no '=', found 'a=b'",
        ),
        (
            JOB.replace("{poolId: cpu}", f"{{autoPoolSpecification: {{autoPoolIdPrefix: {'x' * 21}}}}}"),
            "autoPoolIdPrefix: expected at most 20 characters of A-Z, a-z, 0-9, '-' and '_', found",
        ),
        (POOL + network(endpoint("-a")), "name: expected 1 to 77 characters of letters, digits, '_', '.' and '-', a"),
        (
            POOL + network(endpoint(port=29876)),
            "expected a port from 1 to 65535 other than 29876 and 29877, which are reserved, found the number 29876",
        ),
        (
            POOL + network(endpoint(first=50000, last=50999)),
            "expected a port from 1 to 65534 outside of 50000 to 55000, which are reserved, found the number 50000",
        ),
        (POOL + network(endpoint(last=1001)), "expected at least 40 ports outside, found 2"),
        (
            POOL + network(endpoint(first=49000, last=56000)),
            "expected ports outside of 50000 to 55000, which are reserved",
        ),
        (
            POOL + network(endpoint("a"), endpoint("b", 1500, 2999, 23)),
            "expected port ranges that do not overlap, found those of a and b",
        ),
        (
            POOL + network(endpoint(rules=rules(150, ports="100-99"))),
            "expected '*', a port such as '22' or a range such as '100-200', up to 65535, found '100-99'",
        ),
        (
            POOL
            + network(
                endpoint("a", rules=rules(*range(150, 163))), endpoint("b", 3000, 3999, 23, rules(*range(170, 183)))
            ),
            "expected at most 25 rules in a pool, found 26",
        ),
        (
            POOL + network(endpoint("a", rules=rules(150)), endpoint("b", 3000, 3999, 23, rules(150))),
            "expected each priority once in a pool, found 150 again",
        ),
        (
            POOL + "  enableAutoScale: true\n  autoScaleFormula: ' '\n",
            "autoScaleFormula: expected a formula, found ' '",
        ),
        (
            POOL.replace(
                "nodeAgentSKUId: n",
                "nodeAgentSKUId: batch.node.windows amd64, windowsConfiguration: {enableAutomaticUpdates: true}",
            )
            + "  upgradePolicy: {mode: automatic, automaticOSUpgradePolicy: {enableAutomaticOSUpgrade: true}}\n",
            "expected windowsConfiguration.enableAutomaticUpdates: false beside enableAutomaticOSUpgrade",
        ),
        (
            JOB
            + "commonEnvironmentSettings: [{name: A, value: {secretRef: {file: big}}}]\n".replace("common", "  common"),
            "expected at most 64 KiB, found more",
        ),
        (
            JOB + "  commonEnvironmentSettings: [{name: A, value: {secretRef: {file: bytes}}}]\n",
            "expected UTF-8 text, found other bytes",
        ),
        (
            JOB + "taskGroups: [{name: g, parameters: {f: {files: 'in/*'}}, template: {id: a, commandLine: x}}]\n",
            "expected file names that can be printed, found ",
        ),
    ],
)
def test_a_value_beyond_its_bounds(findings: Findings, folder: Path, text: str, said: str) -> None:
    (folder / "big").write_bytes(b"x" * (secrets.LARGEST + 1))
    (folder / "bytes").write_bytes(b"\xff\xfe")
    (folder / "in").mkdir()
    (folder / "in" / "a\x1bb").write_text("")
    found = findings(text)
    assert any(said in line for line in found), found


@pytest.mark.parametrize(
    ("name", "limit", "parameter", "said"),
    [
        ("LARGEST", 4, "{csv: rows.csv}", "expected a CSV file of at most 0 MiB, found more"),
        ("MOST_FILES", 1, "{files: '*.csv'}", "expected at most 1 files, found more"),
    ],
)
def test_a_source_of_items_that_is_too_large(
    findings: Findings, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: int, parameter: str, said: str
) -> None:
    for file in ("rows.csv", "more.csv"):
        (folder / file).write_text("a,b\n1,2\n")
    monkeypatch.setattr(items, name, limit)
    template = "template: {id: 'x${item.f.id}', commandLine: x}"
    found = findings(JOB + f"taskGroups: [{{name: g, parameters: {{f: {parameter}}}, {template}}}]\n")
    assert any(said in line for line in found), found


def test_a_secret_file_of_a_manifest_from_standard_input(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def read(self, _: int) -> bytes:
            return (JOB + "  commonEnvironmentSettings: [{name: A, value: {secretRef: {file: x}}}]\n").encode()

    class Stdin:
        buffer = Stream()

    monkeypatch.setattr("sys.stdin", Stdin())
    with pytest.raises(ManifestErrors, match="expected an absolute path: standard input has no folder"):
        load(["-"], variables={}, environment={})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b\n---\nc: d\n", "v.yml: expected one document, found 2"),
        ("a: [b]\n", "v.yml:1:4: a: expected a text, found a list"),
        ("a:\n", "v.yml:1:3: a: expected a text, found nothing"),
    ],
)
def test_a_file_of_variables_that_is_none(folder: Path, text: str, said: str) -> None:
    Path("v.yml").write_text(text)
    with pytest.raises(ManifestErrors) as refused:
        read_variables("v.yml")
    assert said in str(refused.value)
