"""`python -m benchmarks.quality` makes cells and the page."""

import sys

from benchmarks.quality.cells import main

main(sys.argv[1:])
