"""The command line: ``tapecourse run | sweep | launch | variants | grade | export``.

The exit status is 0 if all is well, 1 if something ran and failed, 2 if what was given is wrong.
"""

import argparse
import sys
from collections.abc import Callable

from tapecourse.support.errors import ClearError, InputError, printable
from tapecourse.support.workers import PATIENCE
from tapecourse.tools.interrupts import GO_ON, Terminated, heed_signals, interrupts

__all__ = ["main"]

TRAINING = "notebooks/B_training_run.ipynb"


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks for.

    Parameters
    ----------
    arguments : list of str, optional
        The words behind ``tapecourse``; by default the process's own.

    Returns
    -------
    int
        The exit status.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    own = arguments[:1] == ["launch"]  # whose words are the module's
    parameters, rest = ([], arguments) if own else take_parameters(arguments)
    options = make_parser().parse_args(rest)
    try:
        if parameters and not hasattr(options, "parameters"):
            raise InputError("-p", parameters[0][0], f"{options.command} takes no parameters.")
        options.parameters = check_given(parameters)
        with heed_signals():
            return 0 if options.do(options) else 1
    except InputError as error:
        print(printable(str(error)), file=sys.stderr)
        return 2
    except (ClearError, OSError) as error:
        print(printable(str(error)), file=sys.stderr)
    except Terminated:
        print(f"Ended by SIGTERM. {GO_ON}", file=sys.stderr)
    except KeyboardInterrupt:
        print(f"Interrupted. {GO_ON}", file=sys.stderr)
    return 1


def take_parameters(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Take each ``-p NAME VALUE`` out of the arguments: argparse would refuse a value of -1e-3.

    One that lacks a word is left to argparse, which says so.
    """
    parameters, rest, words = [], [], list(arguments)
    while words:
        option, *values = words[:3]
        if option == "-p" and len(values) == 2 and not any(v.startswith("--") for v in values):
            parameters.append((values[0], values[1]))
            del words[:3]
        else:
            rest.append(words.pop(0))
    return parameters, rest


def check_given(parameters: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the parameters, if each is given once.

    Raises
    ------
    InputError
        One comes twice.
    """
    for number, (name, _) in enumerate(parameters):
        if name in dict(parameters[:number]):
            raise InputError("-p", name, "this parameter is given twice.")
    return parameters


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="tapecourse", description="Tools of the course.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    add_run(commands)
    add_sweep(commands)
    add_launch(commands)
    add_variants(commands)
    add_grade(commands)
    add_export(commands)
    return parser


def add_command(
    commands: argparse._SubParsersAction, name: str, what: str, example: str
) -> argparse.ArgumentParser:
    """Add a command with its help."""
    return commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_parameters(command: argparse.ArgumentParser, value: str, what: str) -> None:
    command.add_argument(
        "-p", dest="parameters", nargs=2, action="append", metavar=("NAME", value), help=what
    )


def add_limits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--threads",
        type=positive(int),
        default=1,
        metavar="N",
        help="threads of TensorFlow, by default 1: other numbers change the last digits",
    )
    command.add_argument(
        "--timeout", type=positive(float), metavar="SECONDS", help="end a run that takes longer"
    )


def positive(kind: type) -> Callable[[str], float]:
    """Return a reader of numbers above 0."""

    def number(text: str) -> float:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise ValueError
        return value

    number.__name__ = f"{kind.__name__} above 0"  # argparse tells it
    return number


def add_run(commands: argparse._SubParsersAction) -> None:
    """Describe ``tapecourse run``."""
    command = add_command(
        commands,
        "run",
        "run a notebook once, with parameters of your own",
        f"tapecourse run {TRAINING} -p epochs 3 -p learning_rate 1e-3 --out runs/slow",
    )
    command.add_argument("notebook", help="path of a notebook that has a parameters cell")
    add_parameters(command, "VALUE", "set a parameter of the notebook")
    command.add_argument(
        "--out", metavar="FOLDER", help="folder for what it writes, by default runs/NOTEBOOK"
    )
    add_limits(command)
    command.set_defaults(do=do_run)


def do_run(options: argparse.Namespace) -> bool:
    """Run a notebook, and print what came of it."""
    from tapecourse.tools.run import run

    return run(
        options.notebook,
        options.parameters,
        options.out,
        threads=options.threads,
        timeout=options.timeout,
    )


def add_sweep(commands: argparse._SubParsersAction) -> None:
    """Describe ``tapecourse sweep``."""
    command = add_command(
        commands,
        "sweep",
        "run a notebook for all combinations of some values, several at a time",
        f"tapecourse sweep {TRAINING} -p learning_rate 1e-3,3e-3 -p seed 0,1,2 --out runs/rates",
    )
    command.add_argument("notebook", help="path of a notebook that has a parameters cell")
    add_parameters(command, "VALUE,VALUE", "a parameter and its values")
    command.add_argument("--grid-file", metavar="FILE", help="YAML lines NAME: [VALUE, VALUE]")
    command.add_argument("--out", required=True, metavar="FOLDER", help="folder for all runs")
    add_limits(command)
    where = command.add_mutually_exclusive_group()
    where.add_argument("--workers", type=int, help="runs at once, by default one for each core")
    where.add_argument("--scheduler", metavar="ADDRESS", help="a running dask scheduler")
    command.add_argument("--dry-run", action="store_true", help="only print the runs")
    command.add_argument(
        "--repeat",
        action="store_true",
        help="repeat the folder's runs if the notebook, the data or a version has changed",
    )
    command.set_defaults(do=do_sweep)


def do_sweep(options: argparse.Namespace) -> bool:
    """Run a notebook over a grid."""
    with interrupts(allowed=False):  # nor to the threads that the libraries start
        from tapecourse.tools.grid import read_grid
        from tapecourse.tools.sweep import sweep
    return sweep(
        options.notebook,
        read_grid(options.parameters, options.grid_file),
        options.out,
        workers=options.workers,
        scheduler=options.scheduler,
        dry_run=options.dry_run,
        threads=options.threads,
        timeout=options.timeout,
        repeat=options.repeat,
    )


def add_launch(commands: argparse._SubParsersAction) -> None:
    """Describe ``tapecourse launch``."""
    command = add_command(
        commands,
        "launch",
        "run a training loop in several processes, on one machine or on many (chapter 08)",
        "tapecourse launch --processes 2 tapecourse.scale_out --epochs 3 --out runs/two",
    )
    command.add_argument(
        "--processes",
        type=positive(int),
        default=1,
        metavar="N",
        help="workers on this machine; leave it out where TF_CONFIG or Slurm says who takes part",
    )
    command.add_argument(
        "--threads", type=positive(int), default=1, metavar="N", help="of TensorFlow, in each"
    )
    command.add_argument(
        "--patience",
        type=positive(float),
        default=PATIENCE,
        metavar="SECONDS",
        help=f"end a run in which no worker says anything for this long, by default {PATIENCE:g}",
    )
    command.add_argument("module", help="each worker calls its main(arguments)")
    command.add_argument("arguments", nargs=argparse.REMAINDER, help="the words for the module")
    command.set_defaults(do=do_launch)


def do_launch(options: argparse.Namespace) -> bool:
    """Run workers, and print what they say."""
    from tapecourse.tools.launch import launch

    return launch(
        options.module,
        options.arguments,
        processes=options.processes,
        threads=options.threads,
        patience=options.patience,
    )


def add_variants(commands: argparse._SubParsersAction) -> None:
    """Describe ``tapecourse variants``."""
    command = add_command(
        commands,
        "variants",
        "write exercises of their own, with solutions, for each learner",
        "tapecourse variants learners.txt --out runs/variants",
    )
    command.add_argument("roster", help="text file with a learner's name in each line")
    command.add_argument("--out", required=True, metavar="FOLDER", help="folder for all of them")
    command.set_defaults(do=do_variants)


def do_variants(options: argparse.Namespace) -> bool:
    """Write variants."""
    from tapecourse.tools.variants import write_variants

    return write_variants(options.roster, options.out)


def add_grade(commands: argparse._SubParsersAction) -> None:
    """Describe ``tapecourse grade``."""
    command = add_command(
        commands,
        "grade",
        "grade a folder of submitted exercise notebooks",
        "tapecourse grade path/to/submissions --out runs/grading",
    )
    command.add_argument("submissions", help="folder with a notebook or a folder for each learner")
    command.add_argument("--out", required=True, metavar="FOLDER", help="folder for the grades")
    command.add_argument(
        "--variants", metavar="FILE", help="variants.csv, if learners have exercises of their own"
    )
    command.set_defaults(do=do_grade)


def do_grade(options: argparse.Namespace) -> bool:
    """Grade submissions."""
    from tapecourse.tools.grade import grade

    return grade(options.submissions, options.out, options.variants)


def add_export(commands: argparse._SubParsersAction) -> None:
    """Describe ``tapecourse export``."""
    command = add_command(
        commands,
        "export",
        "write what is derived from the notebooks: modules, exercises, README's figure",
        "tapecourse export --check",
    )
    command.add_argument(
        "what", nargs="?", choices=["modules", "exercises"], help="only these, by default all"
    )
    command.add_argument(
        "--check", action="store_true", help="write nothing, and name the files that are stale"
    )
    command.set_defaults(do=do_export)


def do_export(options: argparse.Namespace) -> bool:
    """Write the derived files, or name the stale ones."""
    from tapecourse.tools.export import export, report_stale

    return report_stale() if options.check else export(options.what)
