"""`python -m sysgate` is the command line."""

from sysgate.cli.main import entry

entry()
