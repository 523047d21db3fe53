"""`python -m asyncsim` is the command line."""

from asyncsim.cli import main

if __name__ == "__main__":
    main()
