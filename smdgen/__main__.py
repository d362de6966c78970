"""`python -m smdgen` is the command `smdgen`."""

from smdgen.cli.app import run

if __name__ == "__main__":
    run()
