"""`tapecourse sweep` with a failing run, and what comes after it."""

import json
import shutil
from importlib.metadata import version

import nbformat
import papermill
import pytest
from conftest import ROOT
from helpers import make_notebook, run, run_here
from sweeps import begun, folders, statuses, summary, sweep, times, tiny

from tapecourse.support.data import data_digest
from tapecourse.tools import origin
from tapecourse.tools.execute import environment
from tapecourse.tools.sweep import REPORT

OTHERWISE = "Name another folder, or repeat them with --repeat."
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
    assert "Runs: 4 done, 2 failed, 0 missing." in result.stdout
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
            assert results["threads"] == "1"
        else:
            assert row["test_accuracy"] == ""


def test_the_results_are_plain_papermills(finished, tmp_path):
    folder, (notebook, *_), _ = finished
    for rate in (0.001, 1.0):
        out = tmp_path / str(rate)
        out.mkdir()
        parameters = {"seed": 2, "learning_rate": rate, "run_dir": str(out)}
        with environment(out, threads=1):
            plain = papermill.execute_notebook(
                notebook,
                out / "plain.ipynb",
                parameters,
                kernel_name="python3",
                progress_bar=False,
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
    assert lines[-1] == "Runs: 6, 4 of them done already. Nothing was started."
    assert times(folder / "out") == before

    assert sweep(options[0], "-p", "seed", 5, "--out", tmp_path / "new", "--dry-run") == 0
    assert capsys.readouterr().out.startswith("missing seed=5\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "name, middle, message",
    [
        ("other.ipynb", "", f"its runs are of tiny.ipynb. {OTHERWISE}"),
        ("tiny.ipynb", "1", f"its runs are of another version of tiny.ipynb. {OTHERWISE}"),
        (
            None,
            None,
            "the grid of its runs is over seed, learning_rate: another folder is needed.",
        ),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_runs_of_something_else_are_refused(
    finished, tmp_path, capsys, name, middle, message, dry
):
    folder, (notebook, *_), _ = finished
    notebook = tiny(tmp_path, middle, name) if name else notebook
    before = times(folder / "out")
    grid = ["-p", "seed", 0, *(RATES if name else [])]
    assert sweep(notebook, *grid, "--out", folder / "out", *dry) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert times(folder / "out") == before


def test_the_same_command_does_only_what_is_missing(finished, capfd, light):
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


# --- what decides a result is the same for all runs of a folder


def test_one_run_and_sweeps_have_the_same_metrics(tmp_path):
    """Of numbers that depend on the threads; and plain papermill's, with the same ones."""
    threads = """\
import numpy as np
from threadpoolctl import threadpool_info
pools = [each["num_threads"] for each in threadpool_info()]
matrix = np.random.default_rng(seed).normal(size=(300, 300))
total = float(np.linalg.matrix_power(matrix / 20, 9).sum())
metrics = {"total": total, "threads": max(pools)}
Path(run_dir, "history.csv").touch()
Path(run_dir, "metrics.json").write_text(json.dumps({"metrics": metrics}))
print(total)"""
    notebook = tiny(tmp_path, end=threads)
    assert sweep(notebook, "-p", "seed", "0,1", "--out", tmp_path / "two", "--workers", 2) == 0
    swept = [(row["total"], row["threads"]) for row in summary(tmp_path / "two")]
    assert run_here(notebook, "-p", "seed", 0, "--out", tmp_path / "run") == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    plain = tmp_path / "plain"
    plain.mkdir()
    with environment(plain, threads=1):
        parameters = {"seed": 1, "run_dir": str(plain)}
        papermill.execute_notebook(notebook, plain / "x.ipynb", parameters, progress_bar=False)
    single = [record["metrics"], json.loads((plain / "metrics.json").read_text())["metrics"]]
    assert swept == [(str(metrics["total"]), "1") for metrics in single]

    options = ["-p", "seed", 0, "--threads", 2, "--workers", 1]
    assert sweep(notebook, *options, "--out", tmp_path / "three") == 0
    assert summary(tmp_path / "three")[0]["threads"] == "2"


CHANGES = [
    ("threads", "with --threads 1, not 2"),
    ("version", f"with tensorflow {version('tensorflow')}, not 0.0"),
    ("course", "with another version of the module tapecourse.support.errors"),
    ("helper", "with another version of the module helper"),
    ("package", "with another version of the module package.inner"),
    ("named", "with another version of the module named"),
    ("data", "with other data in data.npz"),
]


def change(what, tmp_path, monkeypatch):
    """Change something that decides a result; return the options of the next sweep."""
    if what == "version":
        real = version

        def newer(package):
            return "0.0" if package == "tensorflow" else real(package)

        monkeypatch.setattr(origin, "version", newer)
    if what == "course":
        monkeypatch.setattr(origin, "COURSE", tmp_path / "course")
    files = {"helper": "helper.py", "package": "package/inner.py", "named": "named.py"}
    if path := (files | {"data": "data.npz"}).get(what):
        (tmp_path / path).write_text("VALUE = 2")
    return ["--threads", 2] if what == "threads" else []


@pytest.fixture
def decided(tmp_path, monkeypatch, light):
    """A finished sweep whose result depends on all that may be changed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "package").mkdir()
    for name in ("helper.py", "package/inner.py", "named.py", "data.npz"):
        (tmp_path / name).write_text("VALUE = 1")
    shutil.copytree(ROOT / "tapecourse", tmp_path / "course" / "tapecourse")
    with open(tmp_path / "course" / "tapecourse" / "support" / "errors.py", "a") as file:
        file.write("\n")
    imports = """\
import tapecourse.support.errors
def late():
    from helper import VALUE
    import package.inner
%run named.py"""
    options = [tiny(tmp_path, imports), "-p", "label", "data.npz,plain", "--out", "out"]
    assert sweep(*options) == 0
    return options


def test_a_change_of_what_decides_a_result_is_named(decided, tmp_path, monkeypatch, capsys):
    """The folder is refused, unless the runs are to be repeated; then they all are."""
    count = len(begun(tmp_path))
    for what, message in CHANGES:
        with monkeypatch.context() as patch:
            options = change(what, tmp_path, patch)
            before = times(tmp_path / "out")
            capsys.readouterr()
            assert sweep(*decided, *options) == 2
            error = capsys.readouterr().err
            assert f"its runs are {message}. {OTHERWISE}" in error and error.count("\n") == 1
            assert times(tmp_path / "out") == before and len(begun(tmp_path)) == count
            for name in ("helper.py", "package/inner.py", "named.py", "data.npz"):
                (tmp_path / name).write_text("VALUE = 1")
    assert sweep(*decided) == 0 and len(begun(tmp_path)) == count


def test_runs_are_repeated_on_request(decided, tmp_path, monkeypatch, capsys):
    count = len(begun(tmp_path))
    for what in ("threads", "helper"):
        options = change(what, tmp_path, monkeypatch)
        assert sweep(*decided, "--threads", 2, *options, "--repeat") == 0
        count += 2
        assert len(begun(tmp_path)) == count and statuses(tmp_path / "out") == ["done"] * 2
    assert sweep(*decided, "--threads", 2, "--repeat") == 0, "there is nothing to repeat"
    assert len(begun(tmp_path)) == count


def test_an_install_beside_other_packages_is_not_searched_for_them(tmp_path, monkeypatch):
    """Else every package that a notebook imports would be read, and be a part of its runs."""
    shutil.copytree(ROOT / "tapecourse", tmp_path / "site" / "tapecourse")
    (tmp_path / "site" / "keras.py").write_text("")
    monkeypatch.setattr(origin, "COURSE", tmp_path / "site")
    found = origin.modules_of(["import keras, tapecourse.support.errors"], [tmp_path])
    assert "tapecourse.support.errors" in found and "keras" not in found


@pytest.mark.parametrize("value", ["x" * 5000, "a/b", "~", "data\udc00"])
def test_a_text_that_is_no_file_is_no_data(value):
    assert data_digest(value) is None
