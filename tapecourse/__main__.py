"""``python -m tapecourse`` is the command ``tapecourse``."""

import sys

from tapecourse.sweep import main

if __name__ == "__main__":
    sys.exit(main())
