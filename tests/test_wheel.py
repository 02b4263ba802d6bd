"""An installed wheel and a checkout behave alike."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conftest import PROJECT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (PROJECT / "pyproject.toml").is_file():
        pytest.skip("not a checkout")
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        ["uv", "build", "--wheel", "--quiet", "--out-dir", str(folder), str(PROJECT)], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_wheel_holds_the_yaml_files_and_runs(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with ZipFile(wheel) as archive:
        archive.extractall(site)
    shipped = {path.name for path in (site / "recbole_longinterest").rglob("*.yaml")}
    assert shipped == {
        path.name for folder in ("properties", "dataset_configs") for path in (PROJECT / folder).rglob("*.yaml")
    }
    templates = {path.name for path in (site / "recbole_longinterest").rglob("*.html.j2")}
    assert templates == {"report.html.j2", "interest.html.j2", "docs.html.j2"}
    page = {path.name for path in (site / "recbole_longinterest" / "service" / "web").iterdir()}
    assert page == {"index.html", "page.css", "page.js"}
    migrations = site / "recbole_longinterest" / "service" / "store" / "migrations"
    assert (migrations / "env.py").is_file() and list((migrations / "versions").glob("v0001_*.py"))
    run = subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "import sys; from recbole_longinterest.cli.main import main; sys.exit(main())",
                "run",
            ),
            *("--epochs=1", "--show_progress=False", "--user_inter_num_interval=[200,inf)", "--train_batch_size=8192"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "LongInterest on ml-100k" in run.stdout and "ndcg@10" in run.stdout
    assert list((tmp_path / "saved").glob("LongInterest-*.pth"))
    where = subprocess.run(
        [sys.executable, "-c", "import recbole_longinterest as m; print(m.__file__)"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert str(site) in where.stdout  # it was the wheel that ran
