"""`python cli.py` in a checkout is the command line: a shim, nothing lives here."""

from asyncsim.cli import app, main

__all__ = ["app", "main"]

if __name__ == "__main__":
    main()
