"""``python -m tapecourse`` is the command ``tapecourse``."""

import signal
import sys


def main() -> int:
    """Run the command; Ctrl-C and SIGTERM wait until it can say a word, then come too late."""
    ends = [signal.SIGINT, signal.SIGTERM]
    for each in ends:
        signal.signal(each, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    from tapecourse.tools.command import main as command

    status = command()
    for each in ends:  # Python gives them their defaults at its end, unless they are ignored
        signal.signal(each, signal.SIG_IGN)
    return status


if __name__ == "__main__":
    sys.exit(main())
