"""Application packages: listed, referred to, installed on nodes."""

from __future__ import annotations

import zipfile

import pytest


@pytest.fixture(scope="module")
def shelf(emulator):
    """The emulator's folder of applications, with one application in two versions."""
    folder = emulator.state / "applications"
    program = folder / "application_id" / "v1.0" / "bin" / "hello"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho hello from 1\n")
    program.chmod(0o755)
    yield folder
    program.unlink()
    program.parent.rmdir()
    program.parent.parent.rmdir()


@pytest.fixture
def second_version(shelf):
    """Version 2-b as a zip file, made the default one."""
    archive = shelf / "application_id" / "2-b.zip"
    with zipfile.ZipFile(archive, "w") as made:
        entry = zipfile.ZipInfo("bin/hello")
        entry.external_attr = 0o755 << 16
        made.writestr(entry, "#!/bin/sh\necho hello from 2\n")
    about = shelf / "application_id" / "application.json"
    about.write_text('{"defaultVersion": "2-b", "displayName": "An application"}')
    yield "2-b"
    archive.unlink()
    about.unlink()


def output(client, job_id, task_id="t", name="stdout.txt"):
    return b"".join(client.download_task_file(job_id, task_id, name)).decode()


@pytest.mark.recorded("py2020b-applications")
def test_applications_are_listed_and_read_as_recorded_without_a_display_name(shelf, raw, emulator):
    base, query = emulator.endpoint, "api-version=2020-09-01.12.0"
    entry = {"id": "application_id", "versions": ["v1.0"]}
    answer = raw("GET", "/applications", query=query)
    metadata = f"{base}/$metadata#listapplicationsummariesresponses"
    assert (answer.status, answer.json) == (200, {"odata.metadata": metadata, "value": [entry]})
    answer = raw("GET", "/applications/application_id", query=query)
    metadata = f"{base}/$metadata#getapplicationsummaryresponse/@Element"
    assert (answer.status, answer.json) == (200, {"odata.metadata": metadata, **entry})
    assert "etag" not in answer.headers


@pytest.mark.openapi
def test_applications_are_listed_and_read_by_the_sdk(second_version, client):
    (listed,) = client.list_applications()
    assert (listed.id, listed.display_name) == ("application_id", "An application")
    assert listed.versions == [second_version, "v1.0"]
    found = client.get_application("APPLICATION_ID")
    assert (found.id, found.display_name, found.versions) == (listed.id, listed.display_name, listed.versions)


@pytest.mark.documented("DE: ApplicationNotFound")
def test_an_application_that_does_not_exist(shelf, raw):
    for name in ("nothing", "..", "%2e%2e"):
        answer = raw("GET", f"/applications/{name}")
        assert (answer.status, answer.code) == (404, "ApplicationNotFound")


@pytest.mark.recorded("py2020b-applications")
def test_a_task_shows_its_reference_and_finds_the_package_by_the_variable(
    shelf, client, make_job, shared_pool, finished, raw
):
    job_id = make_job(shared_pool)
    reference = {"applicationId": "application_id", "version": "v1.0"}
    command = "/bin/sh -c '$AZ_BATCH_APP_PACKAGE_application_id_v1_0/bin/hello; env'"
    body = {"id": "t", "commandLine": command, "applicationPackageReferences": [reference]}
    client.create_task(job_id, body)
    assert raw("GET", f"/jobs/{job_id}/tasks/t").json["applicationPackageReferences"] == [reference]
    finished(job_id, "t")
    text = output(client, job_id)
    assert text.startswith("hello from 1\n")
    where = next(line for line in text.splitlines() if line.startswith("AZ_BATCH_APP_PACKAGE_")).split("=")[1]
    root = next(line for line in text.splitlines() if line.startswith("AZ_BATCH_NODE_ROOT_DIR=")).split("=")[1]
    assert where.startswith(f"{root}/applications/")


@pytest.mark.documented("D:batch-application-packages: default version, variable without version; pool packages")
def test_a_pools_package_is_there_for_start_task_and_tasks(
    second_version, client, make_pool, make_job, finished, until
):
    command = "/bin/sh -c '$AZ_BATCH_APP_PACKAGE_application_id/bin/hello'"
    pool_id = make_pool(
        nodes=1,
        applicationPackageReferences=[{"applicationId": "Application_ID"}],
        startTask={"commandLine": command},
    )
    (node,) = client.list_nodes(pool_id)
    assert node.start_task_info.exit_code == 0
    job_id = make_job(pool_id)
    client.create_task(job_id, {"id": "t", "commandLine": command})
    finished(job_id, "t")
    assert output(client, job_id) == "hello from 2\n"


@pytest.mark.documented("M:BatchApplicationPackageReference.version: no default version")
def test_a_reference_without_version_fails_the_task_but_is_refused_on_a_pool(
    shelf, client, make_job, shared_pool, finished, raw, vm, new_id
):
    references = {"applicationPackageReferences": [{"applicationId": "application_id"}]}
    answer = raw("POST", "/pools", {"id": new_id("pool"), **vm, **references})
    assert (answer.status, answer.code) == (409, "InvalidApplicationPackageReferences")
    job_id = make_job(shared_pool, constraints={"maxTaskRetryCount": 3})
    client.create_task(job_id, {"id": "t", "commandLine": "true", **references})
    execution = finished(job_id, "t").execution_info
    assert (execution.failure_info.code, execution.exit_code) == ("ApplicationPackageError", None)
    assert (execution.result, execution.retry_count) == ("failure", 0)


@pytest.mark.recorded("cli2020-pools_and_nodes")
def test_unknown_references_are_refused_everywhere_each_by_name(shelf, make_pool, make_job, raw, new_id):
    pool_id, job_id = make_pool(), make_job("nowhere")
    names = ("does-not-exist", "application_id", "neither")
    references = [
        {"applicationId": names[0]},
        {"applicationId": names[1], "version": "9"},
        {"applicationId": "application_id", "version": "V1.0"},
        {"applicationId": names[2], "version": "1"},
    ]
    bad = {"applicationPackageReferences": references}
    task = {"id": "t", "commandLine": "true", **bad}
    answers = [
        raw("PATCH", f"/pools/{pool_id}", bad),
        raw("POST", f"/pools/{pool_id}/updateproperties", {**bad, "metadata": []}),
        raw("POST", f"/jobs/{job_id}/tasks", task),
        raw("POST", "/jobs", {"id": new_id("job"), "poolInfo": {"poolId": "p"}, "jobManagerTask": task}),
    ]
    for answer in answers:
        assert (answer.status, answer.code) == (409, "InvalidApplicationPackageReferences")
        assert answer.values == dict.fromkeys(names, "The specified application package does not exist.")
        assert answer.reason == "One or more of the specified application package references are invalid."
