"""`python -m smdgen` is the command `smdgen`."""

import sys

from smdgen.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
