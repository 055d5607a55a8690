"""What holds for any text."""

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.api.loading import check_stacks
from reconciler.errors import ManifestErrors
from reconciler.manifest import load, load_some
from reconciler.model.desired import Desired

WORDS = (
    "reconciler/v1 Pool Job Stack {name: a} {poolId: p} 0770 yes ~ 1:30 2026-01-31 ${var.x} ${env.x $${ \ufeff \x85 ü"
)
SIGNS = [
    "\n",
    "\n  ",
    "\n    ",
    "\n- ",
    "---\n",
    ": ",
    ", ",
    "[",
    "]",
    "{",
    "}",
    "'",
    '"',
    "&a ",
    "*a",
    "<<: ",
    "? ",
    "# ",
    "\t",
]
KEYS = [
    "apiVersion: ",
    "kind: ",
    "metadata: ",
    "spec: ",
    "tasks:",
    "lifecycle: ",
    "poolInfo: ",
    "id: ",
    "commandLine: ",
]
BITS = st.sampled_from([*WORDS.split(" "), *SIGNS, *KEYS, "!!str ", "!x ", "'${var.y} ${X:-y}'", "{x: {default: '1'}}"])
TEXTS = st.one_of(st.text(), st.binary(), st.lists(BITS, max_size=40).map("".join))

STACK = "apiVersion: reconciler/v1\nkind: Stack\nmetadata: {name: s}\nspec: {variables: {n: {default: '3'}}}\n"
JOBS = st.builds(
    (
        "apiVersion: reconciler/v1\nkind: Job\nmetadata: {{name: {}}}\n"
        "spec: {{poolInfo: {{poolId: p}}, priority: {}}}\n"
    ).format,
    st.from_regex(r"[a-z]{1,3}", fullmatch=True).map(lambda name: f"n-{name}"),
    st.one_of(st.integers(-2000, 2000).map(str), st.sampled_from(["'${var.n}'", "'x'"])),
)


def outcome(files: dict[str, list[str]], paths: list[str]) -> tuple[Desired | None, list[str]]:
    """What the documents of *files* become, or the mistakes in them without their lines."""
    with tempfile.TemporaryDirectory() as here:
        for name, documents in files.items():
            (Path(here) / name).write_text("---\n".join(documents), encoding="utf-8")
        try:
            desired = load([str(Path(here) / path) for path in paths], variables={}, environment={})
        except ManifestErrors as errors:
            return None, sorted(finding.message.partition(" at ")[0] for finding in errors.findings)
    return desired, []


def shape(desired: Desired | None) -> object:
    """Everything but the places."""
    if desired is None:
        return None
    objects = [(key, it.name, it.spec, it.body, it.lifecycle, it.tasks) for key, it in desired.objects.items()]
    return desired.stack, objects


@settings(max_examples=300, deadline=None, database=None)
@given(TEXTS)
def test_any_text_loads_or_says_why_not(text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    with tempfile.TemporaryDirectory() as here:
        path = Path(here) / "m.yaml"
        path.write_bytes(raw)
        try:
            check_stacks(*load_some([str(path)], variables={}, environment={}))
        except ManifestErrors as errors:
            assert errors.findings
            assert all(finding.line >= 0 and "\n" not in str(finding) for finding in errors.findings)


@settings(max_examples=50, deadline=None, database=None)
@given(st.lists(JOBS, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_documents_files_and_paths_has_no_meaning(jobs: list[str], order: random.Random) -> None:
    documents = [STACK, *jobs]
    shuffled = order.sample(documents, len(documents))
    cut = order.randint(0, len(shuffled))
    parts = {name: part for name, part in (("b.yaml", shuffled[:cut]), ("a.yaml", shuffled[cut:])) if part}
    one, one_wrong = outcome({"a.yaml": documents}, ["a.yaml"])
    two, two_wrong = outcome(parts, order.sample(list(parts), len(parts)))
    assert (shape(one), one_wrong) == (shape(two), two_wrong)
