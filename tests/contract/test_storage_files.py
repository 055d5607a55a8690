"""Resource files from containers and output files to containers, with Azurite as the storage service."""

from __future__ import annotations

import http.server
import threading

import pytest

from reconciler.emulator import Emulator


@pytest.fixture
def storage(azurite):
    return azurite


@pytest.fixture
def container(storage, new_id):
    name = new_id("c")
    storage.make_container(name)
    return name


def output(client, job_id, task_id="t", name="stdout.txt"):
    return b"".join(client.download_task_file(job_id, task_id, name)).decode()


def to(url, pattern, condition="taskcompletion", **destination):
    return {
        "filePattern": pattern,
        "destination": {"container": {"containerUrl": url, **destination}},
        "uploadOptions": {"uploadCondition": condition},
    }


@pytest.mark.documented("M:ResourceFile: storageContainerUrl, blobPrefix, filePath, fileMode")
def test_a_container_is_downloaded_by_prefix_into_a_folder(
    client, make_job, shared_pool, finished, storage, container, raw
):
    for name in ("in/a.txt", "in/sub/b c.txt", "other.txt"):
        storage.put(f"{container}/{name}", name.encode())
    job_id, url = make_job(shared_pool), storage.url(container, "rl")
    files = [
        {"storageContainerUrl": url, "blobPrefix": "in/", "filePath": "data", "fileMode": "0640"},
        {"storageContainerUrl": url, "blobPrefix": "oth"},
        {"httpUrl": storage.url(f"{container}/in/a.txt", "r"), "filePath": "single"},
    ]
    command = "/bin/sh -c 'find . -type f | sort; cat single; stat -c %a data/in/a.txt'"
    client.create_task(job_id, {"id": "t", "commandLine": command, "resourceFiles": files})
    assert finished(job_id, "t").execution_info.exit_code == 0
    names = ["./data/in/a.txt", "./data/in/sub/b c.txt", "./other.txt", "./single"]
    assert output(client, job_id) == "\n".join([*names, "in/a.txt640", ""])
    assert raw("GET", f"/jobs/{job_id}/tasks/t").json["resourceFiles"] == files


@pytest.mark.documented("G: ResourceContainerAccessDenied; D:error-handling: a pre-processing error is not retried")
@pytest.mark.parametrize(
    ("name", "permissions", "code"),
    [("missing", "rl", "ResourceContainerNotFound"), (None, "w", "ResourceContainerAccessDenied")],
)
def test_a_container_that_cannot_be_listed_fails_the_task(
    client, make_job, shared_pool, finished, storage, container, name, permissions, code
):
    job_id = make_job(shared_pool, constraints={"maxTaskRetryCount": 2})
    files = [{"storageContainerUrl": storage.url(name or container, permissions)}]
    client.create_task(job_id, {"id": "t", "commandLine": "true", "resourceFiles": files})
    execution = finished(job_id, "t").execution_info
    assert (execution.failure_info.code, execution.failure_info.category) == (code, "UserError")
    assert (execution.retry_count, execution.exit_code) == (0, None)


@pytest.mark.openapi
@pytest.mark.parametrize(
    ("entry", "code", "name"),
    [
        ({}, "MissingRequiredProperty", "httpUrl"),
        ({"httpUrl": "http://127.0.0.1/x"}, "MissingRequiredProperty", "filePath"),
        (
            {"httpUrl": "http://127.0.0.1/x", "filePath": "x", "storageContainerUrl": "http://127.0.0.1/c"},
            "InvalidPropertyValue",
            "resourceFiles",
        ),
        ({"httpUrl": "http://127.0.0.1/x", "filePath": "x", "blobPrefix": "y"}, "InvalidPropertyValue", "blobPrefix"),
        ({"storageContainerUrl": "file:///etc"}, "InvalidPropertyValue", "storageContainerUrl"),
    ],
)
def test_a_wrong_resource_file_is_refused(make_job, raw, entry, code, name):
    body = {"id": "t", "commandLine": "true", "resourceFiles": [entry]}
    answer = raw("POST", f"/jobs/{make_job('nowhere')}/tasks", body)
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, code, name)


@pytest.mark.documented("G:BatchExplorer#30, #978")
def test_too_many_resource_files_for_one_task(make_job, raw):
    files = [{"httpUrl": "http://127.0.0.1/" + "x" * 100, "filePath": str(number)} for number in range(300)]
    body = {"id": "t", "commandLine": "true", "resourceFiles": files}
    answer = raw("POST", f"/jobs/{make_job('nowhere')}/tasks", body)
    assert (answer.status, answer.values["PropertyName"]) == (400, "resourceFiles")
    assert answer.values["Reason"] == "Total size of resourceFiles cannot be more than 32768 characters"


@pytest.mark.recorded("py2017-tasks")
def test_output_files_are_shown_with_the_services_spelling(make_job, raw):
    job_id, url = make_job("nowhere"), "https://test.blob.core.windows.net:443/test-container"
    sent = [
        to(url, "../stdout.txt", "taskCompletion", path="taskLogs/output.txt"),
        to(url, "../stderr.txt", "taskFailure", path="taskLogs/error.txt"),
    ]
    body = {"id": "t", "commandLine": "true", "outputFiles": sent}
    assert raw("POST", f"/jobs/{job_id}/tasks", body).status == 201
    sent[0]["uploadOptions"]["uploadCondition"] = "TaskCompletion"
    sent[1]["uploadOptions"]["uploadCondition"] = "TaskFailure"
    assert raw("GET", f"/jobs/{job_id}/tasks/t").json["outputFiles"] == sent


@pytest.mark.documented("M:OutputFile; D:batch-task-output-files")
@pytest.mark.parametrize("code", [0, 3])
def test_output_files_go_up_by_condition_and_pattern(client, make_job, shared_pool, finished, storage, container, code):
    job_id, url = make_job(shared_pool), storage.url(container, "wc")
    files = [
        to(url, "../std*.txt", path="logs/"),
        to(url, "**/*.csv", "tasksuccess", path="results"),
        to(url, "core", "taskfailure", path="dump"),
        to(url, "$AZ_BATCH_TASK_ID.id"),
        to(url, "nothing/*"),
    ]
    script = f"echo out; mkdir -p a/b; echo 1 > a/b/x.csv; echo 2 > .y.csv; echo 3 > core; echo 4 > t.id; exit {code}"
    body = {"id": "t", "commandLine": f"/bin/sh -c '{script}'", "outputFiles": files}
    client.create_task(job_id, body)
    execution = finished(job_id, "t").execution_info
    assert (execution.exit_code, execution.result) == (code, "failure" if code else "success")
    names = ("logs/stdout.txt", "logs/stderr.txt", "results/a/b/x.csv", "results/.y.csv", "dump", "t.id", "core")
    found = {name: storage.get(f"{container}/{name}") for name in names}
    assert found == {
        "logs/stdout.txt": b"out\n",
        "logs/stderr.txt": b"",
        "results/a/b/x.csv": None if code else b"1\n",
        "results/.y.csv": None,
        "dump": b"3\n" if code else None,
        "t.id": b"4\n",
        "core": None,
    }
    assert "x.csv" in output(client, job_id, name="fileuploadout.txt") or code
    assert output(client, job_id, name="fileuploaderr.txt") == ""


@pytest.mark.documented("M:OutputFile, M:ExitConditions.fileUploadError, D:batch-task-output-files")
@pytest.mark.parametrize(
    ("missing", "permissions", "code"),
    [(True, "wc", "FileUploadContainerNotFound"), (False, "rl", "FileUploadAccessDenied")],
)
def test_a_failed_upload_fails_the_task_and_has_its_exit_condition(
    client, make_job, shared_pool, finished, storage, container, missing, permissions, code
):
    job_id = make_job(shared_pool, constraints={"maxTaskRetryCount": 2}, usesTaskDependencies=True)
    url = storage.url("not-there" if missing else container, permissions)
    conditions = {"fileUploadError": {"dependencyAction": "satisfy"}, "default": {"dependencyAction": "block"}}
    body = {"id": "t", "commandLine": "echo x", "outputFiles": [to(url, "../stdout.txt")]}
    client.create_task(job_id, {**body, "exitConditions": conditions})
    client.create_task(job_id, {"id": "after", "commandLine": "true", "dependsOn": {"taskIds": ["t"]}})
    execution = finished(job_id, "t").execution_info
    assert (execution.failure_info.code, execution.failure_info.category) == (code, "UserError")
    assert (execution.exit_code, execution.result, execution.retry_count) == (0, "failure", 0)
    assert code in output(client, job_id, name="fileuploaderr.txt")
    finished(job_id, "after")


@pytest.mark.documented(
    "M:OutputFile: uploads of a task that is tried again; D:batch-task-output-files: never attempted"
)
def test_retries_upload_at_the_end_and_a_task_that_never_ran_has_no_logs(
    client, make_job, shared_pool, finished, storage, container
):
    job_id, url = make_job(shared_pool), storage.url(container, "wc")
    script = "echo x >> tries; test $(wc -l < tries) = 2"
    body = {"commandLine": f"/bin/sh -c '{script}'", "outputFiles": [to(url, "tries")]}
    client.create_task(job_id, {"id": "t", **body, "constraints": {"maxTaskRetryCount": 5}})
    client.create_task(job_id, {"id": "never", **body, "commandLine": "no-such-program"})
    assert finished(job_id, "t").execution_info.retry_count == 1
    finished(job_id, "never")
    assert storage.get(f"{container}/tries") == b"x\nx\n"
    assert output(client, job_id, name="fileuploadout.txt").count("\n") == 1
    assert not [one for one in client.list_task_files(job_id, "never") if one.name.startswith("fileupload")]


@pytest.mark.openapi
@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"filePattern": "x"}, "destination"),
        ({"filePattern": "x", "destination": {}}, "container"),
        ({"filePattern": "x", "destination": {"container": {"containerUrl": "http://x/c"}}}, "uploadOptions"),
        ({"destination": {"container": {"containerUrl": "http://x/c"}}}, "filePattern"),
    ],
)
def test_a_wrong_output_file_is_refused(make_job, raw, entry, name):
    body = {"id": "t", "commandLine": "true", "outputFiles": [entry]}
    answer = raw("POST", f"/jobs/{make_job('nowhere')}/tasks", body)
    assert (answer.status, answer.code, answer.values["PropertyName"]) == (400, "MissingRequiredProperty", name)


class _Gate(http.server.BaseHTTPRequestHandler):
    """Keeps uploads waiting until the gate is open."""

    def log_message(self, *arguments):
        pass

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.set()
        if self.server.gate.wait(20):
            self.server.taken.append(body)
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()


@pytest.mark.emulator_only
def test_an_upload_cut_off_by_a_crash_is_made_afterwards_and_the_command_not_run_again(tmp_path, client_for, vm, until):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Gate)
    server.daemon_threads = True
    server.asked, server.gate, server.taken = threading.Event(), threading.Event(), []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    diary = tmp_path / "diary"
    url = f"http://127.0.0.1:{server.server_port}/c"
    with Emulator(state=tmp_path / "state") as own:
        with client_for(own) as client:
            client.create_pool({"id": "p", **vm, "targetDedicatedNodes": 1})
            client.create_job({"id": "j", "poolInfo": {"poolId": "p"}})
            command = f"/bin/sh -c 'echo x >> {diary}; echo result'"
            client.create_task("j", {"id": "t", "commandLine": command, "outputFiles": [to(url, "../stdout.txt")]})
            assert server.asked.wait(10)
            assert client.get_task("j", "t").state == "running"
        own.kill()
        server.asked.clear()
        own.start()
        with client_for(own) as client:
            assert server.asked.wait(10)
            server.gate.set()
            until(lambda: client.get_task("j", "t").state == "completed")
            assert client.get_task("j", "t").execution_info.result == "success"
    assert (diary.read_text(), set(server.taken)) == ("x\n", {b"result\n"})
    server.shutdown()
    server.server_close()
