"""Files of tasks and nodes over HTTP."""

from __future__ import annotations

import pytest


@pytest.fixture
def task(client, make_job, shared_pool, finished):
    job_id = make_job(shared_pool)
    make = 'mkdir sub; echo a > "sub/a b+c%.txt"; ln -s /etc out; ln -s ../.control hidden'
    command = f"/bin/sh -c 'printf 0123456789; {make}; echo e >&2'"
    client.create_task(job_id, {"id": "t", "commandLine": command})
    node = finished(job_id, "t").node_info
    return {
        "job": job_id,
        "files": f"/jobs/{job_id}/tasks/t/files",
        "node_files": f"/pools/{node.pool_id}/nodes/{node.node_id}/files",
        "root": node.task_root_directory,
    }


@pytest.mark.recorded("py2020b-files")
def test_files_are_listed_with_their_properties_and_directories_without(raw, task, emulator):
    answer = raw("GET", task["files"])
    assert answer.json["odata.metadata"].endswith("/$metadata#files")
    entries = {entry["name"]: entry for entry in answer.json["value"]}
    assert set(entries) == {"stdout.txt", "stderr.txt", "wd"}
    assert entries["wd"] == {"name": "wd", "url": f"{emulator.endpoint}{task['files']}/wd", "isDirectory": True}
    properties = entries["stdout.txt"]["properties"]
    assert (properties["contentLength"], properties["contentType"]) == ("10", "text/plain")
    assert properties["fileMode"].startswith("0o100")
    names = {
        entry["name"]
        for entry in raw("GET", task["files"], query="api-version=2025-06-01&recursive=true").json["value"]
    }
    assert names == {"stdout.txt", "stderr.txt", "wd", "wd/sub", "wd/sub/a b+c%.txt"}


@pytest.mark.recorded("py2020b-files")
def test_head_gives_the_file_headers(raw, task):
    answer = raw("HEAD", f"{task['files']}/stdout.txt")
    assert answer.status == 200
    assert (answer.headers["content-length"], answer.headers["content-type"]) == ("10", "text/plain")
    assert answer.headers["ocp-batch-file-isdirectory"] == "False"
    assert answer.headers["ocp-batch-file-mode"].startswith("0o100")
    assert "%2Fstdout.txt" in answer.headers["ocp-batch-file-url"]
    assert "last-modified" in answer.headers
    assert raw("HEAD", f"{task['files']}/wd").headers["ocp-batch-file-isdirectory"] == "True"


@pytest.mark.documented("X: the SDK percent-encodes the whole path; clients also send plain slashes")
@pytest.mark.parametrize("path", ["wd%2Fsub%2Fa%20b%2Bc%25.txt", "wd/sub/a%20b+c%25.txt"])
def test_a_path_may_be_encoded_whole_or_in_parts(raw, task, path):
    assert raw("GET", f"{task['files']}/{path}").body == b"a\n"
    assert raw("GET", f"{task['node_files']}/{task['root']}/{path}").body == b"a\n"


@pytest.mark.documented("X: a ranged read is answered 200")
@pytest.mark.parametrize(
    ("range_", "status", "body"),
    [
        ("bytes=2-4", 200, b"234"),
        ("bytes=7-", 200, b"789"),
        ("bytes=-2", 200, b"89"),
        ("bytes=8-99", 200, b"89"),
        ("bytes=10-11", 416, None),
        ("bytes=4-2", 416, None),
        ("nonsense", 416, None),
    ],
)
def test_a_part_of_a_file_can_be_read(raw, client, task, range_, status, body):
    answer = raw("GET", f"{task['files']}/stdout.txt", headers={"ocp-range": range_})
    assert answer.status == status
    assert answer.body == body if body is not None else answer.code == "InvalidRange"


@pytest.mark.documented("O:download_task_file")
def test_the_sdk_reads_a_part_of_a_file(client, task):
    assert b"".join(client.download_task_file(task["job"], "t", "stdout.txt", ocp_range="bytes=0-3")) == b"0123"


@pytest.mark.documented("O:get_task_file_properties: If-Modified-Since, If-Unmodified-Since")
def test_files_take_conditions_on_time(raw, task):
    path = f"{task['files']}/stdout.txt"
    modified = raw("HEAD", path).headers["last-modified"]
    old = "Mon, 01 Jan 2001 00:00:00 GMT"
    assert raw("GET", path, headers={"if-modified-since": modified}).status == 304
    assert raw("GET", path, headers={"if-modified-since": old}).status == 200
    assert raw("GET", path, headers={"if-unmodified-since": modified}).status == 200
    assert raw("HEAD", path, headers={"if-unmodified-since": old}).status == 412


@pytest.mark.emulator_only
@pytest.mark.parametrize(
    "path",
    [
        "..%2F..%2F..%2F..%2F..%2F..%2Femulator.json",
        "wd/../../../../../../../emulator.json",
        "%2Fetc%2Fpasswd",
        "wd/out/passwd",
        "wd%2Fout%2Fpasswd",
        ".control",
        "wd%2F..%2F.control",
        "wd/hidden",
        "wd%2Fhidden",
        "wd%00x",
        "wd/stdout.txt%00.txt",
        "%2e%2e/%2e%2e/x",
        "%2E%2E%2F%2E%2E%2Fx",
        "..%5C..%5Cx",
        "wd%5C..%5C..%5Cx",
        "%252e%252e%252fx",
        "..",
        "wd/..",
        "%2e%2e",
        "/etc/passwd",
        "//etc/passwd",
        "wd/out/../../../x",
        "%c0%ae%c0%ae/x",
        "nothing",
    ],
)
def test_no_path_leads_out_of_the_directory(raw, task, path):
    for method in ("GET", "DELETE"):
        answer = raw(method, f"{task['files']}/{path}")
        assert (answer.status, answer.code) == (404, "FileNotFound")
    assert raw("HEAD", f"{task['files']}/{path}").status == 404
    below = f"{task['node_files']}/{task['root']}/{path}"
    assert raw("HEAD", below).status == 404
    assert (raw("GET", below).status, raw("DELETE", below).status) == (404, 404)


@pytest.mark.emulator_only
def test_a_link_in_place_of_the_directory_of_a_task_gives_nothing_away(raw, client, make_job, shared_pool, until):
    job_id = make_job(shared_pool)
    command = "mv $AZ_BATCH_TASK_DIR $AZ_BATCH_TASK_DIR-away; ln -s /etc $AZ_BATCH_TASK_DIR; sleep 60"
    client.create_task(job_id, {"id": "t", "commandLine": f"/bin/sh -c '{command}'"})
    until(lambda: raw("GET", f"/jobs/{job_id}/tasks/t/files").status == 409)
    assert raw("GET", f"/jobs/{job_id}/tasks/t/files").code == "TaskFilesUnavailable"
    assert raw("GET", f"/jobs/{job_id}/tasks/t/files/passwd").status == 409
    info = client.get_task(job_id, "t").node_info
    path = f"/pools/{info.pool_id}/nodes/{info.node_id}/files/{info.task_root_directory}"
    assert raw("GET", f"{path}/passwd").status == 404


@pytest.mark.documented("O:delete_task_file")
def test_files_are_deleted_and_directories_only_when_told(raw, task):
    assert raw("DELETE", f"{task['files']}/stderr.txt").status == 200
    assert raw("GET", f"{task['files']}/stderr.txt").status == 404
    refused = raw("DELETE", f"{task['files']}/wd%2Fsub")
    assert refused.status == 409
    told = raw("DELETE", f"{task['files']}/wd%2Fsub", query="api-version=2025-06-01&recursive=true")
    assert told.status == 200
    assert raw("GET", f"{task['files']}/wd/sub/a%20b+c%25.txt").status == 404


@pytest.mark.documented("DE: TaskFilesUnavailable")
def test_a_task_that_never_ran_has_no_files(client, make_job, raw):
    job_id = make_job("nowhere")
    client.create_task(job_id, {"id": "t", "commandLine": "true"})
    answer = raw("GET", f"/jobs/{job_id}/tasks/t/files")
    assert (answer.status, answer.code) == (409, "TaskFilesUnavailable")


@pytest.mark.documented("D:files-and-directories: output can be read during the run")
def test_output_can_be_read_while_the_task_runs(client, make_job, shared_pool, until):
    job_id = make_job(shared_pool)
    client.create_task(job_id, {"id": "t", "commandLine": "/bin/sh -c 'echo early; sleep 60'"})
    until(lambda: client.get_task(job_id, "t").state == "running")
    until(lambda: b"".join(client.download_task_file(job_id, "t", "stdout.txt")) == b"early\n")


@pytest.mark.documented("D:files-and-directories")
def test_a_node_has_the_documented_folders(raw, task):
    names = {entry["name"] for entry in raw("GET", task["node_files"]).json["value"]}
    assert names == {"applications", "fsmounts", "shared", "startup", "volatile", "workitems"}
