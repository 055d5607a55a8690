"""Application packages on the shelf, references to them, and their installation on a node."""

from __future__ import annotations

import json
import zipfile

import pytest

from reconciler.emulator import pools
from reconciler.emulator.errors import ServiceError
from reconciler.emulator.packages import Shelf, install
from reconciler.emulator.ports import Ended
from reconciler.emulator.staging import StagingError


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "applications"
    (folder / "Blender" / "2.7" / "bin").mkdir(parents=True)
    (folder / "Blender" / "2.7" / "bin" / "run").write_text("#!/bin/sh\necho 2.7\n")
    (folder / "Blender" / "2.7" / "bin" / "run").chmod(0o755)
    with zipfile.ZipFile(folder / "Blender" / "2.76b.zip", "w") as archive:
        entry = zipfile.ZipInfo("bin/run")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, "#!/bin/sh\necho 2.76b\n")
    about = {"displayName": "Blender!", "defaultVersion": "2.7"}
    (folder / "Blender" / "application.json").write_text(json.dumps(about))
    (folder / "plain" / "1").mkdir(parents=True)
    (folder / "empty").mkdir()
    return Shelf(folder)


def refs(*pairs):
    named = [{"applicationId": name, **({"version": version} if version else {})} for name, version in pairs]
    return {"applicationPackageReferences": named}


def test_the_shelf_lists_applications_with_versions(shelf):
    blender, plain = shelf.list_all()
    assert (blender.id, blender.versions, blender.display_name) == ("Blender", ("2.7", "2.76b"), "Blender!")
    assert (plain.id, plain.versions, plain.default) == ("plain", ("1",), None)
    assert shelf.find("BLENDER") == blender
    long = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/a/applications/blender"
    assert shelf.find(long) == blender
    assert Shelf().list_all() == []


@pytest.mark.parametrize(
    ("spec", "pool", "bad"),
    [
        (refs(("blender", "2.7"), ("plain", "1"), ("BLENDER", None)), True, []),
        (refs(("no", None), ("plain", "2")), True, ["no", "plain"]),
        (refs(("plain", None)), True, ["plain"]),
        (refs(("plain", None)), False, []),
        ({}, True, []),
    ],
)
def test_references_that_cannot_be_met_are_refused_each_by_name(shelf, spec, pool, bad):
    if not bad:
        shelf.check(spec, pool=pool)
        return
    with pytest.raises(ServiceError) as refused:
        shelf.check(spec, pool=pool)
    assert (refused.value.status, refused.value.code) == (409, "InvalidApplicationPackageReferences")
    assert refused.value.values == tuple((name, "The specified application package does not exist.") for name in bad)


def test_variables_flatten_ids_and_keep_their_case(shelf):
    spec = refs(("Blender", "2.76b"), ("Blender", None), ("plain", None))
    found = shelf.resolve(spec, lower_case=False)
    assert [(one["variable"].removeprefix("AZ_BATCH_APP_PACKAGE_"), one["version"]) for one in found] == [
        ("Blender_2_76b", "2.76b"),
        ("Blender", "2.7"),
        ("plain", None),
    ]
    assert shelf.resolve(spec, lower_case=True)[0]["variable"] == "AZ_BATCH_APP_PACKAGE_blender_2_76b"


def test_a_package_is_installed_once_and_anew_when_it_was_replaced(shelf, tmp_path):
    root, folder = tmp_path / "node", tmp_path / "applications"
    (root / "applications").mkdir(parents=True)
    for version in ("2.7", "2.76b"):
        where = install(folder, root, {"id": "Blender", "version": version})
        assert (where / "bin/run").read_text().split()[-1] == version
        assert (where / "bin/run").stat().st_mode & 0o100
        (where / "mark").touch()
        assert install(folder, root, {"id": "Blender", "version": version}) == where
        assert (where / "mark").exists()
    (folder / "Blender" / "2.7" / "new").touch()
    assert (install(folder, root, {"id": "Blender", "version": "2.7"}) / "new").exists()


def test_a_package_that_is_broken_or_gone_is_an_application_package_error(shelf, tmp_path):
    root, folder = tmp_path / "node", tmp_path / "applications"
    (root / "applications").mkdir(parents=True)
    (folder / "Blender" / "3.zip").write_text("not a zip file")
    for version in ("3", "4", None):
        with pytest.raises(StagingError, match="ApplicationPackageError"):
            install(folder, root, {"id": "Blender", "version": version})


def test_a_pools_packages_come_before_its_start_task_and_new_ones_after_a_reboot(account, shelf):
    account.w.packages = shelf
    account.pool(startTask={"commandLine": "1 0"}, **refs(("blender", "2.7")))
    account.pass_time(5)
    installation, start = account.driver.started
    assert (installation.command_line, start.command_line) == ("", "1 0")
    assert [one["version"] for one in start.packages] == ["2.7"]
    pool = account.w.pools["p"]
    account.do(pools.update, pool, refs(("blender", "2.76b")))
    account.task(account.job(), **refs(("plain", "1")))
    account.pass_time(5)
    assert [one["version"] for one in account.driver.started[-1].packages] == ["2.7", "1"]
    account.reboot(account.nodes()[0])
    account.pass_time(5)
    assert [one["version"] for one in account.driver.started[-1].packages] == ["2.76b"]


def test_a_node_whose_packages_cannot_be_installed_is_unusable(account, shelf, monkeypatch):
    account.w.packages = shelf
    account.engine.alter = lambda run, ended: Ended(run.id, ended.at, problem="ApplicationPackageError", detail="bad")
    account.pool(**refs(("blender", "2.7")))
    job = account.job()
    task = account.task(job)
    account.pass_time(60)
    node = account.nodes()[0]
    assert (node.state, node.errors[0]["code"], task.state) == ("unusable", "ApplicationPackageError", "active")


def test_a_node_that_leaves_while_packages_are_installed_leaves_nothing_running(account, shelf):
    account.w.packages = shelf
    account.pool(**refs(("blender", "2.7")))
    account.pass_time(0.5)
    assert [run.kind for run in account.w.runs.values()] == ["packages"]
    account.do(pools.delete, account.w.pools["p"])
    account.pass_time(60)
    assert (account.w.runs, account.w.pools) == ({}, {})
