"""``python -m tapecourse`` is the command ``tapecourse``."""

import sys


def main() -> int:
    """Run the command; an interrupt is one line, also while its libraries are loaded."""
    try:
        from tapecourse.sweeps.command import main as command

        return command()
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
