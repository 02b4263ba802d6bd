"""Models by name: local folders without a network, and a hub of our own on loopback."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recbole_longinterest import Recommender, push_to_hub
from recbole_longinterest.serving.manifest import ExportError
from recbole_longinterest.serving.model_folder import write_folder
from tests.served import random_served

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "ann/films"


class Hub(BaseHTTPRequestHandler):
    """The part of a hub's interface that is used: one repository, whose files are in memory."""

    files: dict[str, bytes]
    asked: list[str]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _json(self, content: object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, name: str, body: bool) -> None:
        content = self.files.get(name)
        self.send_response(200 if content is not None else 404)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(content or b"").hexdigest()}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if body and content:
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        self._file(self.path.rpartition("/")[2], body=False)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        if path.startswith(f"/{NAME}/resolve/"):
            self._file(path.rpartition("/")[2], body=True)
        elif "/tree/" in path:
            self._json(
                [{"type": "file", "path": name, "size": len(text), "oid": "0"} for name, text in self.files.items()]
            )
        elif path.startswith(f"/api/models/{NAME}"):
            self._json({"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]})
        else:
            self._json({"error": "Repository not found"}, 404)

    def do_POST(self) -> None:
        self.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/api/repos/create"):
            self._json({"url": f"http://{self.headers['Host']}/{NAME}"})
        elif "/preupload/" in self.path:
            wanted = [each["path"] for each in json.loads(body)["files"]]
            self._json({"files": [{"path": each, "uploadMode": "regular", "shouldIgnore": False} for each in wanted]})
        elif "/commit/" in self.path:
            for line in body.splitlines():
                each = json.loads(line)
                if each["key"] == "file":
                    self.files[each["value"]["path"]] = base64.b64decode(each["value"]["content"])
            address = f"http://{self.headers['Host']}/{NAME}/commit/{COMMIT}"
            self._json({"success": True, "commitOid": COMMIT, "commitUrl": address})
        else:  # a check of the card
            self._json({"errors": [], "warnings": []})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[str, type[Hub]]]:
    handler = type("OneHub", (Hub,), {"files": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "a-token")
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_folder(random_served(), tmp_path / "m")
    return tmp_path / "m"


def best(model: Recommender) -> list[str]:
    return [item.item for item in model.recommend(["i1", "i2"], k=5).items]


def asked(*_: object, **__: object) -> None:
    raise AssertionError("the hub was asked")


def test_a_folder_needs_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", asked)
    assert best(Recommender.from_pretrained(folder)) == best(Recommender.load(folder))
    with pytest.raises(ExportError, match=r"is a folder and has no revision; got 'main'"):
        Recommender.from_pretrained(folder, "main")


@pytest.mark.parametrize("name", ["absent", "./absent", "/absent/model", "a/b/c", "a/", "../b"])
def test_a_path_that_is_not_there_is_never_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.hf_hub_download", asked)
    with pytest.raises(ExportError, match="must be a folder that recbole-li export wrote, or owner/name on a hub"):
        Recommender.from_pretrained(name)


def test_a_model_is_pushed_and_loaded_by_its_name(folder: Path, hub: tuple[str, type[Hub]]) -> None:
    endpoint, handler = hub
    (folder / "notes.txt").write_text("not a part of the export")
    commit = push_to_hub(folder, NAME, endpoint=endpoint)
    assert commit == COMMIT and set(handler.files) == {file.name for file in folder.iterdir()} - {"notes.txt"}
    handler.files["pickle.bin"] = b"not in the manifest"
    model = Recommender.from_pretrained(NAME, endpoint=endpoint)
    assert best(model) == best(Recommender.load(folder))
    assert best(Recommender.from_pretrained(NAME, COMMIT, endpoint=endpoint)) == best(model)
    assert not any("pickle.bin" in path for path in handler.asked)


def test_a_changed_file_is_refused(folder: Path, hub: tuple[str, type[Hub]]) -> None:
    endpoint, handler = hub
    push_to_hub(folder, NAME, endpoint=endpoint)
    handler.files["items.json"] = handler.files["items.json"].replace(b"i1", b"i2", 1)
    with pytest.raises(ExportError, match=r"items\.json was changed after it was written"):
        Recommender.from_pretrained(NAME, endpoint=endpoint)
    (folder / "items.json").write_text("{}")
    with pytest.raises(ExportError, match=r"items\.json was cut short or changed"):
        push_to_hub(folder, NAME, endpoint=endpoint)


def test_what_a_hub_does_not_have_or_take(folder: Path, hub: tuple[str, type[Hub]]) -> None:
    endpoint, _ = hub
    with pytest.raises(ExportError, match=r"ann/films at v2 cannot be downloaded from the hub: .* Check the name"):
        Recommender.from_pretrained(NAME, "v2", endpoint=endpoint)
    with pytest.raises(
        ExportError, match=r"a b cannot be uploaded to the hub: .* Check the name, the network, and that you are"
    ):
        push_to_hub(folder, "a b", endpoint=endpoint)
    with pytest.raises(ExportError, match=r"has no manifest\.json: it must be a folder that recbole-li export wrote"):
        push_to_hub(folder.parent, NAME, endpoint=endpoint)
