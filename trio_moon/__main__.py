"""`python -m trio_moon` is the command `trio-moon`."""

import sys

from trio_moon.cli import main

if __name__ == "__main__":
    sys.exit(main())
