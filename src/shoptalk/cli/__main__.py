"""`python -m shoptalk.cli`."""

import sys

from shoptalk.cli import main

if __name__ == "__main__":  # the processes that speak and augment import this file too
    sys.exit(main())
