"""`recbole-li serve` as a user types it: what it refuses, and keys; tests/service/test_run.py lets it run."""

import subprocess
import sys
from pathlib import Path

import pytest

from recbole_longinterest.cli.main import main
from recbole_longinterest.service.keys import read_keys
from recbole_longinterest.serving.model_folder import write_folder
from tests.served import random_served


@pytest.fixture
def model(tmp_path: Path) -> str:
    write_folder(random_served(), tmp_path / "m")
    return str(tmp_path / "m")


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command says."""
    assert main(["serve", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def test_what_cannot_be_served_is_said_in_a_line(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Give either a model folder made by" in error(capsys)
    assert "recbole-li serve has no argument --prot=1" in error(capsys, model, "--prot=1")
    assert "Without API keys the service must listen only on this machine" in error(capsys, model, "--host", "0.0.0.0")
    assert f"{tmp_path / 'none'}" in error(capsys, str(tmp_path / "none"))
    assert "The file of API keys" in error(capsys, model, "--port", "0", "--keys", str(tmp_path / "keys"))
    assert "A store must be sqlite:///FILE" in error(capsys, model, "--port", "0", "--store", "nonsense")
    assert "--mcp-write needs --mcp." in error(capsys, model, "--mcp-write")
    assert "--mcp serves one MODEL in one process" in error(capsys, model, "--mcp", "--workers", "2")
    assert "timeout must be above 0 seconds; got 0" in error(capsys, model, "--timeout", "0")
    assert "--port must be from 0" in error(capsys, model, "--port", "-1")
    (tmp_path / "empty").mkdir()
    assert "Give either a model folder made by" in error(capsys, model, "--models", str(tmp_path))
    assert "--watch looks for new versions" in error(capsys, model, "--watch")
    assert " has no versions" in error(capsys, "--models", str(tmp_path / "empty"), "--port", "0")
    assert "Replicas on Ray share a store in PostgreSQL: give --store" in error(capsys, model, "--ray")
    assert "--replicas must be MIN-MAX, as 1-4" in error(capsys, model, "--ray", "--replicas", "4-2")
    store = ("--store", f"sqlite:///{tmp_path / 'e'}", "--port", "0")
    assert "no.yaml cannot be read" in error(capsys, model, *store, "--rules", str(tmp_path / "no.yaml"))
    (tmp_path / "shop.yaml").write_text("deny: 5\nhid: []")
    said = error(capsys, model, *store, "--rules", str(tmp_path / "shop.yaml"))
    assert "shop.yaml has 2 errors: " in said and "deny must be" in said and "(meant hide?)" in said


def test_a_key_is_made_and_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "keys"
    assert main(["serve", "--keys", str(file), "--add-key", "shop:read,write"]) == 0
    key = capsys.readouterr().out.splitlines()[0]
    assert key.startswith("rli_") and key not in file.read_text()
    assert [(client.name, client.roles) for client in read_keys(file).values()] == [("shop", {"read", "write"})]
    assert "already has a key named shop" in error(capsys, "--keys", str(file), "--add-key", "shop:read")
    assert "--add-key must be NAME:ROLES" in error(capsys, "--add-key", "shop:read")
    assert "--add-key must be NAME:ROLES" in error(capsys, "--keys", str(file), "--add-key", "shop")


@pytest.mark.parametrize(
    ("package", "extra", "more"),
    [("fastapi", "serve", []), ("sqlalchemy", "serve", []), ("mcp", "serve,mcp", ["--mcp"])],
)
def test_a_missing_extra_is_said_in_a_line(package: str, extra: str, more: list[str], model: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from recbole_longinterest.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", program, "serve", model, *more], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr == (
        f"recbole-li: error: recbole-li serve needs the package {package}, which is not installed: "
        f"pip install 'recbole-longinterest[{extra}]' (recbole-li doctor checks the installation)\n"
    )
