"""Runs the cells of a notebook in this process: a kernel for each would take seconds."""

import atexit
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import matplotlib
import matplotlib.pyplot as plt
import nbformat
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from IPython.utils.capture import capture_output
from matplotlib_inline.backend_inline import configure_inline_support
from traitlets.config import Config

INLINE = "module://matplotlib_inline.backend_inline"


class PlainHook(DisplayHook):
    """Shows a cell's last value as a kernel's text: without a prompt."""

    def write_output_prompt(self) -> None:
        """Write nothing."""

    def write_format_data(self, format_dict: dict, md_dict: dict | None = None) -> None:
        """Print the text."""
        print(format_dict["text/plain"])


@contextmanager
def open_shell() -> Iterator[InteractiveShell]:
    """Open a shell with an empty namespace, in which figures are drawn as in a kernel."""
    shell = InteractiveShell.instance(
        config=Config(HistoryManager={"enabled": False}),
        user_module=ModuleType("notebook"),
        displayhook_class=PlainHook,
    )
    try:
        with matplotlib.rc_context():
            plt.switch_backend(INLINE)
            configure_inline_support(shell, INLINE)
            select_figure_formats(shell, {"png"}, bbox_inches="tight")
            shell.showtraceback = lambda *_, **__: None  # `run_cell` raises it
            yield shell
    finally:
        plt.close("all")
        plt.switch_backend("agg")
        InteractiveShell.clear_instance()
        atexit.unregister(shell.atexit_operations)  # a fifth of a second for each shell


def run_cells(
    path: Path, parameters: Mapping[str, object], last: str | None = None, twice: bool = False
) -> dict[str, str]:
    """Run the cells up to `last`; return what each printed or showed as text, by its id.

    What a cell raises is raised; and none may write to stderr, where warnings go. With `twice`,
    each that nbval compares runs again at once, and must say the same; but for the first, where
    IPython says that an extension is loaded already.
    """
    texts = {}
    with open_shell() as shell:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                texts[cell.id] = run_cell(shell, cell.source)
                tags = cell.metadata.get("tags", [])
                if twice and cell.id != "setup" and "nbval-ignore-output" not in tags:
                    assert run_cell(shell, cell.source) == texts[cell.id], cell.id
                if "parameters" in tags:
                    shell.push(dict(parameters))
                if cell.id == last:
                    break
    return texts


def run_cell(shell: InteractiveShell, source: str) -> str:
    """Run a cell; return what it printed or showed as text."""
    with capture_output() as captured:
        result = shell.run_cell(source)
    result.raise_error()
    assert not captured.stderr, captured.stderr
    shown = [output.data for output in captured.outputs]
    assert all("image/png" in data for data in shown if "<Figure" in data["text/plain"])
    return captured.stdout + "".join(data["text/plain"] for data in shown)
