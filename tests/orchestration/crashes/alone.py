"""The desk's program in a process of its own, as anybody would run it: `python -m … FOLDER LOG JOURNAL`."""

import sys

from coterie.orchestration.crash_child import perform
from tests.orchestration.crashes.desk import program

if __name__ == "__main__":
    perform(program, log=sys.argv[2], folder=sys.argv[1], journal=sys.argv[3], kill=None, backend="asyncio")
