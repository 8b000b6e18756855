"""``python -m tapecourse`` is the command ``tapecourse``."""

import signal
import sys


def main() -> int:
    """Run the command; Ctrl-C and SIGTERM wait until it can say a word about them."""
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])
    from tapecourse.tools.command import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
