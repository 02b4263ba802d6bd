"""API keys and what their roles allow."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from recbole_longinterest.service import keys as module
from recbole_longinterest.service.keys import Keys, add_key, read_keys
from tests.service.conftest import MakeClient
from tests.service.test_app import problem

EVENT = {"user": "u", "item": "i1"}
BODIES = {"/v1/events": EVENT, "/v1/recommendations": {"events": []}, "/v1/items": {"items": [{}]}}
DIGEST = sha256(b"k").hexdigest()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_each_role_allows_its_own_requests(make_client: MakeClient, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    made = {role: add_key(file, f"the-{role}", [role]) for role in ("read", "write", "admin")}
    asked = {
        "read": [
            ("GET", "/v1/users/u/recommendations"),
            ("POST", "/v1/recommendations"),
            ("GET", "/v1/users/u"),
            ("GET", "/v1/users/u/explanations/i2"),
            ("GET", "/v1/items?query=t"),
            ("GET", "/v1/items/i1/similar"),
            ("GET", "/metrics"),
        ],
        "write": [("POST", "/v1/events")],
        "admin": [("POST", "/v1/items"), ("DELETE", "/v1/users/u")],
    }
    with make_client(keys=file) as client:
        for needed, requests in asked.items():
            for method, path in requests:
                body = {"/v1/events": EVENT, "/v1/recommendations": {"events": []}, "/v1/items": {"items": [{}]}}.get(
                    path
                )
                for role, key in made.items():
                    answer = client.request(method, path, json=body, headers=bearer(key))
                    if role == needed:
                        assert answer.status_code not in (401, 403), answer.text
                    else:
                        assert problem(answer, 403, "forbidden") == f"This needs a key with the role {needed}."
                answer = client.request(method, path, json=body)
                said = problem(answer, 401, "unauthorized")
                assert said == "Give an API key: Authorization: Bearer KEY."
                assert answer.headers["www-authenticate"] == "Bearer"
        assert client.post("/v1/events", json=EVENT, headers={"X-API-Key": made["write"]}).status_code == 200
        for wrong in ("", "rli_", made["write"][:-1], made["write"] + "x", "\xff"):
            answer = client.post("/v1/events", json=EVENT, headers={"X-API-Key": wrong.encode("latin-1")})  # type: ignore[dict-item]
            assert problem(answer, 401, "unauthorized")
        for open_ in ("/healthz", "/readyz", "/docs", "/openapi.json"):
            assert client.get(open_).status_code == 200
        assert client.get("/healthz", headers={"Host": "shop.example"}).status_code == 200  # keys protect it there


def test_a_file_holds_hashes_alone_and_nobody_else_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key, other = add_key(file, "a", ["read"]), add_key(file, "b", ["read", "admin"])
    assert key not in file.read_text() and other not in file.read_text()
    clients = {client.name: client.roles for client in read_keys(file).values()}
    assert clients == {"a": {"read"}, "b": {"read", "admin"}}
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_removed_is_refused_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN", -1.0)
    file = tmp_path / "keys"
    first, second = add_key(file, "a", ["read"]), add_key(file, "b", ["read"])
    keys = Keys(file)
    assert keys.client(first) and keys.client(second)
    before = file.read_text()
    file.write_text(before.replace(next(line for line in before.splitlines() if line.startswith("a ")), ""))
    assert keys.client(first) is None and keys.client(second)
    third = add_key(file, "c", ["write"])
    assert keys.client(third)
    file.write_text("half an ed")  # which is no reason to shut everybody out
    assert keys.client(third)
    file.unlink()
    assert keys.client(third) is None and keys.client(second) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nothing\n", "holds no API key. Make one with --add-key"),
        (f"a read,fly {DIGEST}\n", r"line 1: a line must have a name, roles \(read, write, admin"),
        (f"\na {DIGEST}\n", "line 2: a line must have a name"),
        ("a read 123\n", "line 1"),
        ("a read " + "G" * 64, "line 1"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ValueError, match=said):
        Keys(tmp_path / "keys")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be read: No such file or directory. Make it with --add-key"):
        Keys(tmp_path / "none")
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="cannot be read: it is not text"):
        Keys(tmp_path / "keys")


def test_names_and_roles_that_cannot_be_added(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"The name of an API key must have 1 to 64 characters .* got 'a b'"):
        add_key(tmp_path / "keys", "a b", ["read"])
    with pytest.raises(ValueError, match="The roles of an API key must be some of read, write, admin; got 'read,all'"):
        add_key(tmp_path / "keys", "a", ["read", "all"])
    add_key(tmp_path / "keys", "a", ["read"])
    with pytest.raises(ValueError, match=r"already has a key named a. Remove its line first"):
        add_key(tmp_path / "keys", "a", ["read"])
