"""The benchmarks of scaling: the arithmetic of the simulation, the tables of the docs, and many users."""

import csv
import json
import runpy
import sys
from pathlib import Path

import pytest

from recbole_longinterest.cli import main
from tests.conftest import PROJECT


@pytest.fixture(autouse=True)
def scripts_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python does for a script that is run."""
    monkeypatch.syspath_prepend(str(PROJECT / "benchmarks"))


def test_times_of_workers_are_those_of_the_formulas() -> None:
    from benchmarks.cluster_model import Line, Model, Network, fit, simulate, stops_at

    assert fit([1.0, 2.0, 4.0], [3.0, 5.0, 9.0]) == pytest.approx(Line(1.0, 2.0))
    assert fit([1.0, 2.0], [1.0, 3.0]) == pytest.approx(Line(0.0, (1 + 2 / 3) / (1 + 4 / 9)))  # no time below 0
    network = Network.of_two(Line(0.002, 1e-9))
    assert (network.latency, network.bandwidth) == pytest.approx((0.001, 1e9))
    assert network.ring(2, 5e8) == pytest.approx(Line(0.002, 1e-9).at(5e8))  # what was measured
    assert network.ring(4, 4e9) == pytest.approx(6 * (0.001 + 1.0))
    assert network.all_to_all(4, 4e9) == pytest.approx(3 * (0.001 + 1.0))
    assert network.ring(1, 1e9) == network.all_to_all(1, 1e9) == 0

    model = Model({"ring": Line(0.0, 1e-3), "sharded": Line(0.4, 1e-3)}, dense=0, items=250, dim=10**6, candidates=0)
    rows = {(row["way"], row["batch"], row["workers"]): row for row in simulate(model, network, 1000)}
    one = rows["ring", "shared", 1]
    assert (one["step_seconds"], one["exchange_seconds"], one["efficiency"]) == (1.0, 0.0, 1.0)
    two = rows["ring", "shared", 2]  # half a second of computing, 2 x (1 ms + half of a gigabyte)
    assert two["exchange_seconds"] == pytest.approx(1.002) and two["efficiency"] == pytest.approx(0.5 / 1.502)
    each = rows["ring", "of each worker", 2]
    assert each["efficiency"] == pytest.approx(1 / 2.002) and each["targets_a_second"] == pytest.approx(2000 / 2.002)
    sharded = rows["sharded", "of each worker", 2]  # 1,000 rows of 4 MB there and back, 1,000 ids, an empty ring
    assert sharded["exchange_seconds"] == pytest.approx(0.002 + (0.001 + 4e-6) + 2 * (0.001 + 2.0))
    assert stops_at(list(rows.values()), "ring", "shared") == 2
    fast = simulate(model, Network(0.0, 1e15), 1000)
    assert stops_at(fast, "ring", "of each worker") is None and stops_at(fast, "sharded", "shared") == 8


def test_the_tables_of_scaling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Measured figures, or the words that there are none; they take the place of the tables in the docs."""
    script, docs = PROJECT / "benchmarks" / "scaling.py", PROJECT / "docs" / "scaling.md"
    if not docs.is_file():
        pytest.skip("not a checkout")
    (tmp_path / "docs.md").write_text(docs.read_text())

    def page(*more: str) -> str:
        given = ["--output", str(tmp_path), "--parts", "", "--write", str(tmp_path / "docs.md"), *more]
        monkeypatch.setattr(sys, "argv", [str(script), *given])
        runpy.run_path(str(script), run_name="__main__")
        return (tmp_path / "docs.md").read_text()

    assert page().count("not measured yet") == 9
    step = {"targets": [1000, 2000], "seconds": [0.11, 0.21], "dense": 10**6, "items": 1000, "dim": 64}
    (tmp_path / "steps.json").write_text(json.dumps({"ring": step, "sharded": step}))
    (tmp_path / "workers.json").write_text(json.dumps({"one": 1000.0, "two": 1700.0, "ratio": 1.7}))
    found = page("--latency", "0.00005", "--bandwidth", "1e9")
    for value in ("10.0 ms + 100.0 us a target", "1,700 targets/s", "1.70", "2.56 GB", "160.0 MB", "12,288", "1,907"):
        assert f"| {value} |" in found
    # 5 x 63 messages of 50 us, and 12,288 rows of 520 bytes and 2 MB of the rest at 1 GB/s
    assert "| 5 x 63 x latency + sent x 63 / 64 / bandwidth | 0.024 s |" in found
    assert found.count("not measured yet") == 4
    rows = list(csv.DictReader((tmp_path / "scaling.csv").open()))
    assert len(rows) == 2 * 2 * 11 and float(rows[0]["efficiency"]) == 1
    with pytest.raises(SystemExit, match="must have <!-- scaling --> and <!-- /scaling --> once each"):
        (tmp_path / "docs.md").write_text("")
        page()


@pytest.mark.slow
@pytest.mark.usefixtures("one_ray")
def test_many_users_by_one_process_and_by_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from benchmarks import many_users

    def in_this_process(command: list[str], **_: object) -> None:
        assert main.main(command[3:]) == 0  # the commands' own start-up takes most of a minute

    monkeypatch.setattr(many_users.subprocess, "run", in_this_process)
    found = many_users.measure(tmp_path, 40)  # raises if the results differ
    assert found["ratio"] == pytest.approx(found["two"] / found["one"])
    assert len(list((tmp_path / "two").glob("*.parquet"))) == 20
