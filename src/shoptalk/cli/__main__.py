"""`python -m shoptalk.cli`."""

from shoptalk.cli import run

if __name__ == "__main__":  # the processes that speak and augment import this file too
    run()
