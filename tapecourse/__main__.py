"""``python -m tapecourse`` is the command ``tapecourse``."""

import sys

from tapecourse.sweeps.interrupts import interrupts


def main() -> int:
    """Run the command; an interrupt is one line, also while its libraries are loaded."""
    try:
        with interrupts(allowed=False):  # nor to the threads that the libraries start
            from tapecourse.sweeps.command import main as command
        return command()
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
