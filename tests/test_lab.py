"""JupyterLab as a learner meets it: the command of `make lab`, and a real browser.

The server runs on a copy of the course and with an empty home, so that all settings come from the
environment and no committed file is changed. No test waits for a time: each waits for an event,
and `PATIENCE` only says when to give up.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest
from conftest import CHAPTERS, ROOT
from playwright.sync_api import Locator, Page, expect

PATIENCE = 600  # seconds
FIRST = "notebooks/01_differentiation.ipynb"
EXERCISE = "exercises/01_differentiation/01_differentiation.ipynb"
TRAINING = "notebooks/training.ipynb"
MOVING = "notebooks/moving.ipynb"
VEGA = "application/vnd.vegalite.v5+json"

WRONG_ANSWER = """\
def gradient(x, y):
    return x**2 * np.exp(x * y), np.exp(x * y) * (1 + x * y)  # ∂f/∂y first
"""
TRAIN = """\
import time
from pathlib import Path

import keras
from tapecourse.training import *


class Held(Trainer):
    def evaluate(self, images, labels):
        while not Path("bar_seen").exists():  # the test writes it
            time.sleep(0.1)
        return super().evaluate(images, labels)


data = load_data("mnist_5k")
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
trainer = Held(keras.Sequential(layers), keras.optimizers.Adam(), loss)
batches = make_batches(data.x_train[:256], data.y_train[:256], 64, seed=0)
train(trainer, batches, 1, (data.x_val[:64], data.y_val[:64]), History(256))
"""


# --- the course, its server and a browser


def wait_for(found: Callable, what: str):
    """Ask again and again until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < deadline, f"{what}: waited {PATIENCE} s in vain"
        time.sleep(0.2)
    return answer


def listens(url: str) -> bool:
    """Say whether the server takes calls; it prints its address before it does."""
    parts = urlsplit(url)
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection((parts.hostname, parts.port)).close()
        return True
    return False


def ask(url: str, path: str) -> str:
    """Get a page of the server."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    connection.request("GET", f"{path}?{parts.query}")
    response = connection.getresponse()
    assert response.status == 200, f"{path}: {response.status} {response.reason}"
    return response.read().decode()


def write_training(course: Path) -> None:
    """Write a notebook that trains for one epoch, and waits with its bar."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(TRAIN)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, course / TRAINING)


def write_moving(course: Path) -> None:
    """Write a notebook of the outputs of all chapters that move, which no kernel has made."""
    cells = []
    for path in CHAPTERS:
        for cell in nbformat.read(path, as_version=4).cells:
            outputs = [each for each in cell.get("outputs", []) if VEGA in each.get("data", {})]
            if outputs:
                name = f"# {path.stem}: {cell.id}"
                cells.append(nbformat.v4.new_code_cell(name, outputs=outputs))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), course / MOVING)


def edit(path: Path, change: Callable) -> None:
    """Call `change` on each code cell of a notebook."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            change(cell)
    nbformat.write(notebook, path)


def clear(cell) -> None:
    cell.outputs, cell.execution_count = [], None  # so that a count shows that it ran


def answer_wrongly(cell) -> None:
    if cell.id == "answer-1-1":
        cell.source = WRONG_ANSWER


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A copy of the course, with a wrong answer and a notebook that trains."""
    course = tmp_path_factory.mktemp("lab") / "course"
    shutil.copytree(ROOT, course, ignore=shutil.ignore_patterns(".*", "runs", "__pycache__"))
    edit(course / FIRST, clear)
    edit(course / EXERCISE, answer_wrongly)
    write_training(course)
    write_moving(course)
    return course


@pytest.fixture(scope="module")
def url(course, tmp_path_factory) -> Iterator[str]:
    """The address that `make lab` prints, while it runs."""
    home = tmp_path_factory.mktemp("home")
    log = home / "log"
    hidden = ("MAKE", "JUPYTER", "IPYTHON", "XDG_")  # other homes, and the flags of make test
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    venv = Path(sys.prefix)
    installed = f"--assume-old={venv / '.installed'}"  # never install into the tests' environment
    arguments = "ARGS=--no-browser --allow-root --ServerApp.port=0"
    with log.open("w") as output:
        server = subprocess.Popen(
            ["make", "lab", f"VENV={venv}", installed, arguments],
            cwd=course,
            env={**kept, "HOME": str(home)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def address():
        assert server.poll() is None, f"make lab has ended: {log.read_text()}"
        printed = re.search(r"http://localhost:\S+token=\w+", log.read_text())
        return printed and listens(printed.group()) and printed.group()

    try:
        yield wait_for(address, "the server")
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


@pytest.fixture
def page(browser) -> Iterator[Page]:
    expect.set_options(timeout=PATIENCE * 1000)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(PATIENCE * 1000)
    yield page
    page.context.close()


def shown(page: Page) -> Locator:
    """The notebook in front."""
    return page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")


def open_notebook(page: Page, url: str, path: str) -> None:
    """Open a notebook with nothing else beside it, and wait until its kernel is ready."""
    workspace = re.sub(r"\W", "-", path)  # a new one is empty
    page.goto(re.sub("/lab/tree/.*[?]", f"/lab/workspaces/{workspace}/tree/{path}?", url))
    wait_for_the_kernel(page)


def wait_for_the_kernel(page: Page) -> None:
    expect(page.locator("#jp-main-statusbar")).to_contain_text("(ipykernel) | Idle")


def run_all(page: Page) -> None:
    """Press the button that restarts the kernel and runs all cells, and confirm."""
    shown(page).locator('[data-command="notebook:restart-run-all"]').click()
    page.locator(".jp-Dialog button.jp-mod-accept").click()


def code_after_the_run(page: Page, path: Path) -> list:
    """Save until all cells have run, or one has failed; return the code cells of the file."""

    def code():
        wait_for_the_kernel(page)  # it also rests between two cells, so look whether all have run
        with page.expect_response(is_saved):
            page.keyboard.press("ControlOrMeta+s")
        cells = nbformat.read(path, as_version=4).cells
        code = [cell for cell in cells if cell.cell_type == "code"]
        failed = any(output.output_type == "error" for output in outputs_of(code))
        return (failed or all(cell.execution_count for cell in code if cell.source)) and code

    def is_saved(response):
        return response.request.method == "PUT" and "/api/contents/" in response.url

    return wait_for(code, "the end of the run")


def outputs_of(cells: list) -> list:
    return [output for cell in cells for output in cell.outputs]


def assert_no_red_box(page: Page, cells: list) -> None:
    """JupyterLab shows errors, and what is written to stderr, in red."""
    for output in outputs_of(cells):
        assert output.output_type != "error", f"{output.ename}: {output.evalue}"
        assert output.get("name") != "stderr", f"written to stderr: {output.text}"
    for kind in ("error", "stderr"):
        red = shown(page).locator(f'[data-mime-type="application/vnd.jupyter.{kind}"]')
        assert red.count() == 0, red.first.inner_text()


# --- without a browser


def test_the_settings_are_where_jupyterlab_reads_them(url):
    def setting(plugin, name):
        answer = json.loads(ask(url, f"/lab/api/settings/@jupyterlab/{plugin}"))
        assert answer["settings"] == {}, "a setting of the home"
        return answer["schema"]["properties"][name]["default"]

    assert setting("apputils-extension:notification", "fetchNews") == "false"
    assert setting("apputils-extension:notification", "checkForUpdates") is False
    assert setting("filebrowser-extension:browser", "showLastModifiedColumn") is False


def test_nbgraders_extensions_are_off(url):
    config = re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', ask(url, "/lab"), re.S)
    assert "@jupyter/nbgrader" in json.loads(config[1])["disabledExtensions"]
    with pytest.raises(AssertionError, match="404"):
        ask(url, "/formgrader")


def test_the_servers_root_is_the_course(url):
    listed = json.loads(ask(url, "/api/contents/"))["content"]
    assert {"exercises", "notebooks", "solutions"} <= {entry["name"] for entry in listed}


# --- in a browser


def test_it_opens_the_course_and_nothing_else(page, url):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    for path in CHAPTERS:
        if path != CHAPTERS[0]:  # which is open already
            page.locator(".jp-DirListing-item", has_text=path.name).dblclick()
        title = nbformat.read(path, as_version=4).cells[0].source.splitlines()[0]
        heading = shown(page).get_by_role("heading", level=1, name=title.removeprefix("# "))
        expect(heading).to_be_visible()
        wait_for_the_kernel(page)
    menus = page.locator("#jp-MainMenu .lm-MenuBar-itemLabel").all_inner_texts()
    assert menus == ["File", "Edit", "View", "Run", "Kernel", "Tabs", "Settings", "Help"]
    for name in ("Create Assignment", "Validate"):
        assert page.get_by_text(name, exact=True).count() == 0, f"{name} is shown"
    for clutter in (".jp-Dialog", ".Toastify__toast"):
        assert page.locator(clutter).count() == 0, page.locator(clutter).first.inner_text()
    own = url.partition("/lab")[0]
    foreign = [each for each in asked if each.startswith("http") and not each.startswith(own)]
    assert not foreign, "the network is asked"
    assert not [each for each in asked if re.search("/api/(news|update)", each)]

    def the_root():
        page.locator(".jp-BreadCrumbs-home").click()  # a busy page may lose a click
        return page.locator(".jp-DirListing-item", has_text="exercises").is_visible()

    wait_for(the_root, "exercises/ in the course's root")


def test_chapter_01_runs_to_its_end_without_a_red_box(page, url, course):
    open_notebook(page, url, FIRST)
    run_all(page)
    cells = code_after_the_run(page, course / FIRST)
    assert_no_red_box(page, cells)


def test_a_wrong_answer_gets_its_hint(page, url, course):
    open_notebook(page, url, EXERCISE)
    run_all(page)
    cells = code_after_the_run(page, course / EXERCISE)
    assert_no_red_box(page, cells)
    hint = "Not yet: Both are right, but in the wrong order: first ∂f/∂x, then ∂f/∂y."
    expect(shown(page).get_by_text(hint)).to_be_visible()


def test_training_shows_its_bar_and_removes_it(page, url, course):
    open_notebook(page, url, TRAINING)
    run_all(page)
    bar = shown(page).get_by_text(re.compile(r"\d% \|"))
    expect(bar).to_be_visible()
    assert bar.locator("xpath=ancestor::*[@data-mime-type]").get_attribute("data-mime-type") == (
        "application/vnd.jupyter.stdout"
    )
    (course / TRAINING).with_name("bar_seen").touch()
    cells = code_after_the_run(page, course / TRAINING)
    assert_no_red_box(page, cells)
    expect(bar).to_have_count(0)
    expect(shown(page).get_by_text("epoch 1/1:")).to_be_visible()


def test_figures_move_by_keyboard_in_an_untrusted_notebook_without_a_kernel(page, url, course):
    failed = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    workspace = re.sub("/lab/tree/.*[?]", f"/lab/workspaces/moving/tree/{MOVING}?", url)
    page.goto(workspace)
    page.locator(".jp-Dialog").get_by_role("button", name="No Kernel").click()
    expect(page.locator("#jp-main-statusbar")).to_contain_text("No Kernel")
    cells = nbformat.read(course / MOVING, as_version=4).cells
    trust = f"Notebook not trusted: 0 of {len(cells)} code cells trusted."
    expect(page.locator(f'[title="{trust}"]')).to_be_visible()
    for number, cell in enumerate(cells):
        part = shown(page).locator(f'.jp-Cell[data-windowed-list-index="{number}"]')
        part.scroll_into_view_if_needed()
        picture, moved = part.locator(".vega-embed svg.marks"), part.locator(".vega-embed input")
        expect(picture).to_be_visible()
        parameters = [each for each in cell.outputs[0].data[VEGA]["params"] if "bind" in each]
        assert parameters and moved.count() == len(parameters), cell.source
        for control in moved.all():
            press(control, picture, cell.source)
    assert not failed


def press(control: Locator, picture: Locator, name: str) -> None:
    """Move a figure's slider, or tick its box, by a key, and wait until the figure changes."""
    before = picture.inner_html()
    control.focus()
    slides = control.get_attribute("type") == "range"
    at_end = slides and control.input_value() == control.get_attribute("max")
    control.press("Space" if not slides else "ArrowLeft" if at_end else "ArrowRight")
    wait_for(lambda: picture.inner_html() != before, f"{name} to move")
