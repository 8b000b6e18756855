"""``python -m tapecourse`` is the command ``tapecourse``."""

import sys

from tapecourse.tools.command import main

if __name__ == "__main__":
    sys.exit(main())
