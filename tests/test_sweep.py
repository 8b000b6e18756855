"""`tapecourse sweep` with a failing run, and what comes after it."""

import json

import nbformat
import papermill
import pytest
from dask.system import CPU_COUNT
from helpers import make_notebook, run
from sweeps import begun, folders, statuses, summary, sweep, times, tiny

from tapecourse.tools.sweep import REPORT

SEEDS = ["-p", "seed", "2,1,0"]
RATES = ["-p", "learning_rate", "1e-3,1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep of 2 x 3 runs, of which seed 1 fails; with a report, for whose sake seeds are 2."""
    folder = tmp_path_factory.mktemp("finished")
    fails = "if seed == 1 and not (here / 'mended').exists():\n    raise ValueError('one\\ntwo')"
    notebook = tiny(folder, fails)
    make_notebook(
        folder / REPORT,
        "import os\nprint(sorted(os.listdir(sweep_dir)))",
        "assert not os.path.exists(sweep_dir + '/break')",
        parameters='sweep_dir: str = ""  # the folder',
    )
    options = [notebook, *SEEDS, *RATES, "--out", folder / "out"]
    return folder, options, run("sweep", *options, "--workers", 2)


def test_a_failing_run_does_not_stop_the_others(finished):
    folder, _, result = finished
    out = folder / "out"
    assert result.returncode == 1
    assert "6 runs: 4 done, 2 failed, 0 missing." in result.stdout
    assert "Dashboard: http://127.0.0.1:" in result.stdout
    assert f"{out}/summary.csv\n" in result.stdout and f"{out}/failed\n" in result.stdout
    assert "failed: seed=1,learning_rate=0.001: ValueError: one\n" in result.stderr
    assert "6/6" in result.stderr and "failed=2" in result.stderr
    assert "Traceback" not in result.stderr and "distributed" not in result.stderr

    rates = ["0.001", "1.0"]
    assert folders(out) == sorted(f"seed={s},learning_rate={r}" for s in (0, 2) for r in rates)
    failed = out / "failed" / "seed=1,learning_rate=1.0"
    outputs = nbformat.read(failed / "tiny.ipynb", as_version=4).cells[-2].outputs
    assert outputs[0].ename == "ValueError"
    assert sorted(begun(folder)) == [0, 0, 1, 1, 2, 2]
    left = {path.name for path in out.iterdir() if "=" not in path.name}
    files = {"summary.csv", "sweep.json", "sweep.log", "sweep.lock", "report.ipynb", "failed"}
    assert left == files


def test_the_summary_has_a_row_a_run_in_the_order_of_the_grid(finished):
    rows = summary(finished[0] / "out")
    columns = "run seed learning_rate test_accuracy steps.all metrics.seed seconds status error"
    assert list(rows[0]) == columns.split()
    points = [(row["seed"], row["learning_rate"]) for row in rows]
    assert points == [(seed, rate) for seed in "210" for rate in ("0.001", "1.0")]
    assert [row["status"] for row in rows] == ["done"] * 2 + ["failed"] * 2 + ["done"] * 2
    assert [row["error"] for row in rows] == [""] * 2 + ["ValueError: one"] * 2 + [""] * 2
    for row in rows:
        assert float(row["seconds"]) > 0.1
        name = f"seed={row['seed']},learning_rate={row['learning_rate']}"
        assert row["run"] == name
        if row["status"] == "done":
            results = json.loads((finished[0] / "out" / name / "metrics.json").read_text())
            assert float(row["test_accuracy"]) == results["metrics"]["test_accuracy"]
            assert results["threads"] == str(max(1, CPU_COUNT // 2))
        else:
            assert row["test_accuracy"] == ""


def test_the_results_are_plain_papermills(finished, tmp_path):
    folder, (notebook, *_), _ = finished
    for rate in (0.001, 1.0):
        out = tmp_path / str(rate)
        out.mkdir()
        parameters = {"seed": 2, "learning_rate": rate, "run_dir": str(out)}
        plain = papermill.execute_notebook(
            notebook, out / "plain.ipynb", parameters, kernel_name="python3", progress_bar=False
        )
        swept = folder / "out" / f"seed=2,learning_rate={rate}"
        assert (swept / "history.csv").read_bytes() == (out / "history.csv").read_bytes()
        metrics = [json.loads((at / "metrics.json").read_text())["metrics"] for at in (swept, out)]
        assert metrics[0] == metrics[1]
        executed = nbformat.read(swept / "tiny.ipynb", as_version=4)
        assert [cell.get("outputs") for cell in executed.cells] == [
            cell.get("outputs") for cell in plain.cells
        ]


def test_the_report_is_run_at_the_end(finished):
    report = nbformat.read(finished[0] / "out" / "report.ipynb", as_version=4)
    assert "'seed=2,learning_rate=1.0', 'summary.csv'" in report.cells[-2].outputs[0].text


def test_a_dry_run_prints_the_runs_and_starts_nothing(finished, tmp_path, capsys):
    folder, options, _ = finished
    before = times(folder / "out")
    assert sweep(*options, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "done    seed=2,learning_rate=0.001"
    assert lines[2] == "failed  seed=1,learning_rate=0.001"
    assert lines[-1] == "6 runs, 4 of them done already. Nothing was started."
    assert times(folder / "out") == before

    assert sweep(options[0], "-p", "seed", 5, "--out", tmp_path / "new", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("missing seed=5\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "name, middle, message",
    [
        ("other.ipynb", "", "its runs are of tiny.ipynb"),
        ("tiny.ipynb", "1", "its runs are of another version of tiny.ipynb"),
        (None, None, "the grid of its runs is over seed, learning_rate"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_runs_of_something_else_are_refused(
    finished, tmp_path, capsys, name, middle, message, dry
):
    folder, (notebook, *_), _ = finished
    notebook = tiny(tmp_path, middle, name) if name else notebook
    before = times(folder / "out")
    assert sweep(notebook, "-p", "seed", 0, "--out", folder / "out", *dry) == 2
    error = capsys.readouterr().err
    assert f"{message}: another folder is needed." in error and error.count("\n") == 1
    assert times(folder / "out") == before


def test_the_same_command_does_only_what_is_missing(finished, capfd):
    """With the parameters in another order, more seeds, and prose of the notebook changed."""
    folder, (notebook, *_), _ = finished
    out = folder / "out"
    before = times(out)
    (folder / "mended").touch()
    (folder / "begun").unlink()
    cells = nbformat.read(notebook, as_version=4)
    cells.cells.insert(0, nbformat.v4.new_markdown_cell("A note."))
    nbformat.write(cells, notebook)
    again = [notebook, *RATES, "-p", "seed", "1,2,3", "--out", out, "--workers", 2]
    assert sweep(*again) == 0
    assert sorted(begun(folder)) == [1, 1, 3, 3]
    after = times(out)
    assert before.items() <= after.items()
    assert len(folders(out)) == 8 and not (out / "failed").exists()
    assert [row["seed"] for row in summary(out)] == list("11223300")  # this grid's, then the rest
    assert statuses(out) == ["done"] * 8

    capfd.readouterr()
    (out / "break").touch()  # what the report stumbles on
    assert sweep(*again) == 0, "all runs are done, and that is what the status says"
    output = capfd.readouterr()
    assert "The report failed: AssertionError" in output.err and "Dashboard" not in output.out
    assert "AssertionError" in (out / "report.ipynb").read_text()
    assert sorted(begun(folder)) == [1, 1, 3, 3] and times(out) == after
