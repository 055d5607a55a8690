"""Output files by pattern, uploads and container listings against a small storage of the test's own."""

from __future__ import annotations

import http.server
import threading
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from reconciler.emulator import containers, uploads
from reconciler.emulator.staging import StagingError, fetch_all


def output(pattern, path=None, url="http://x/c?sig=1", condition="TaskCompletion", **container):
    destination = {"containerUrl": url, **({"path": path} if path else {}), **container}
    return {
        "filePattern": pattern,
        "destination": {"container": destination},
        "uploadOptions": {"uploadCondition": condition},
    }


@pytest.fixture
def base(tmp_path):
    wd = tmp_path / "wd"
    for name in ("a.txt", "b.txt", "c.gif", ".hidden.txt", "x[1].txt", "out/a.txt", "out/sub/deep/d.txt", ".dot/e.txt"):
        (wd / name).parent.mkdir(parents=True, exist_ok=True)
        (wd / name).write_text(name)
    (tmp_path / "stdout.txt").write_text("o")
    (tmp_path / "stderr.txt").write_text("e")
    (tmp_path / ".control").mkdir()
    (tmp_path / ".control" / "pid").write_text("1")
    (wd / "loop").symlink_to(wd)
    return wd


@pytest.mark.parametrize(
    ("pattern", "path", "blobs"),
    [
        ("a.txt", None, ["a.txt"]),
        ("a.txt", "t/result", ["t/result"]),
        ("out/a.txt", None, ["a.txt"]),
        ("*.txt", None, ["a.txt", "b.txt", "x[1].txt"]),
        ("*.txt", "t/", ["t/a.txt", "t/b.txt", "t/x[1].txt"]),
        ("../std*.txt", "t", ["t/stderr.txt", "t/stdout.txt"]),
        ("../stdout.txt", "t/o", ["t/o"]),
        ("**/*.txt", None, ["a.txt", "b.txt", "out/a.txt", "out/sub/deep/d.txt", "x[1].txt"]),
        ("out/**", "t", ["t/a.txt", "t/sub/deep/d.txt"]),
        ("**/sub/*/d.txt", None, ["out/sub/deep/d.txt"]),
        ("[ab].txt", None, ["a.txt", "b.txt"]),
        ("[a-b].txt", None, ["a.txt", "b.txt"]),
        ("[!a].txt", None, ["b.txt"]),
        ("?.gif", None, ["c.gif"]),
        ("x[[]1].txt", None, ["x[1].txt"]),
        (".hidden.*", None, [".hidden.txt"]),
        (".h*", None, [".hidden.txt"]),
        ("$NAME.txt", None, ["a.txt"]),
        ("${NAME}.*", "$NAME", ["$NAME/a.txt"]),
        ("$OTHER.txt", None, []),
        ("missing", "x", []),
        ("../.control/*", None, []),
        ("../.control/pid", None, []),
        ("/", None, []),
    ],
)
def test_patterns(base, pattern, path, blobs):
    found = uploads.find(output(pattern, path), base, {"NAME": "a"}, keeps_names=False)
    assert [one.blob for one in found] == blobs


def test_an_absolute_pattern_and_names_with_their_fixed_part(base):
    pattern = f"{base}/out/*.txt"
    assert [one.blob for one in uploads.find(output(pattern), base, {}, keeps_names=False)] == ["a.txt"]
    found = uploads.find(output("out/*.txt", "t"), base, {}, keeps_names=True)
    assert [one.blob for one in found] == ["t/out/a.txt"]


@pytest.mark.parametrize(
    ("condition", "code", "again", "due"),
    [
        ("TaskSuccess", 0, True, True),
        ("TaskSuccess", 1, False, False),
        ("TaskFailure", 0, False, False),
        ("TaskFailure", 1, False, True),
        ("TaskFailure", 1, True, False),
        ("TaskCompletion", 0, True, True),
        ("TaskCompletion", 1, False, True),
        ("TaskCompletion", 1, True, False),
    ],
)
def test_conditions(condition, code, again, due):
    assert uploads.is_due(output("x", condition=condition), code, may_be_retried=again) is due


class Storage(http.server.ThreadingHTTPServer):
    """A container that lists two blobs a page, and takes blobs; it can be told to refuse."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Blobs)
        self.blobs: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.refusals: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_port}/acc/c?sv=1&sig=a%2Bb"


class Blobs(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        if self.server.refusals:
            return self.answer(self.server.refusals.pop(0))
        assert query == "sv=1&sig=a%2Bb"
        self.server.blobs[unquote(path).removeprefix("/acc/c/")] = body
        self.server.headers[unquote(path).removeprefix("/acc/c/")] = {k.lower(): v for k, v in self.headers.items()}
        return self.answer(201)

    def do_GET(self):
        if self.server.refusals:
            return self.answer(self.server.refusals.pop(0))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert query.get("sig") == "a+b"
        if query.get("comp") == "list":
            return self.answer(200, self.page(query))
        return self.answer(200, self.server.blobs[unquote(parts.path).removeprefix("/acc/c/")])

    def page(self, query):
        names = sorted(name for name in self.server.blobs if name.startswith(query.get("prefix", "")))
        names = [name for name in names if name >= query.get("marker", "")]
        blobs = "".join(f"<Blob><Name>{name.replace('&', '&amp;')}</Name></Blob>" for name in names[:2])
        more = names[2] if len(names) > 2 else ""
        text = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{more}</NextMarker></EnumerationResults>"
        return b"\xef\xbb\xbf<?xml version='1.0' encoding='utf-8'?>" + text.encode()


@pytest.fixture
def storage():
    server = Storage()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def upload(base, *outputs):
    uploads.upload_all(outputs, base.parent, {}, lambda: False, keeps_names=False)


def test_files_go_up_with_their_headers_and_are_logged(base, storage):
    headers = [{"name": "x-ms-meta-a", "value": "1"}, {"name": "Content-Type", "value": "text/plain"}]
    upload(base, output("*.txt", "dir & more", storage.url, uploadHeaders=headers), output("c.gif", url=storage.url))
    assert storage.blobs["dir & more/x[1].txt"] == b"x[1].txt"
    seen = storage.headers["dir & more/a.txt"]
    assert (seen["x-ms-blob-type"], seen["x-ms-meta-a"], seen["content-type"]) == ("BlockBlob", "1", "text/plain")
    assert "sig" not in (base.parent / "fileuploadout.txt").read_text()
    assert (base.parent / "fileuploadout.txt").read_text().count("\n") == len(storage.blobs) == 4
    assert (base.parent / "fileuploaderr.txt").read_text() == ""


@pytest.mark.parametrize(
    ("refusals", "code"),
    [
        ([404], "FileUploadContainerNotFound"),
        ([403], "FileUploadAccessDenied"),
        ([500, 500, 500], "FileUploadMiscError"),
        ([503], None),
    ],
)
def test_upload_errors(base, storage, refusals, code, monkeypatch):
    monkeypatch.setattr(uploads, "_PAUSE", 0)
    storage.refusals = refusals
    if code is None:
        upload(base, output("a.txt", url=storage.url))
        assert storage.blobs == {"a.txt": b"a.txt"}
        return
    with pytest.raises(uploads.UploadError) as error:
        upload(base, output("a.txt", url=storage.url))
    assert error.value.code == code
    assert code in (base.parent / "fileuploaderr.txt").read_text()


def test_a_container_is_fetched_page_by_page_below_the_given_folder(storage, tmp_path):
    storage.blobs = {f"in/{name}": name.encode() for name in ("a", "b", "c", "d & e", "sub/f")} | {"other": b""}
    assert list(containers.list_blobs(storage.url, "in/")) == sorted(name for name in storage.blobs if name != "other")
    entry = {"storageContainerUrl": storage.url, "blobPrefix": "in/", "filePath": "data", "fileMode": "0640"}
    fetch_all([entry], tmp_path, 1000)
    assert (tmp_path / "data/in/d & e").read_text() == "d & e"
    assert (tmp_path / "data/in/sub/f").stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / "data/other").exists()


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil"])
def test_a_blob_whose_name_leads_out_is_refused(storage, tmp_path, name):
    storage.blobs = {name: b""}
    with pytest.raises(StagingError, match="ResourceFileCreateFailed"):
        fetch_all([{"storageContainerUrl": storage.url}], tmp_path / "wd", 1000)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "ResourceContainerNotFound"),
        (403, "ResourceContainerAccessDenied"),
        (500, "ResourceContainerListMiscError"),
    ],
)
def test_listing_errors(storage, tmp_path, status, code):
    storage.refusals = [status]
    with pytest.raises(StagingError, match=code):
        fetch_all([{"storageContainerUrl": storage.url}], tmp_path, 1000)
