"""``python -m tapecourse`` is the command ``tapecourse``."""

import sys

from tapecourse.sweeps.command import main

if __name__ == "__main__":
    sys.exit(main())
