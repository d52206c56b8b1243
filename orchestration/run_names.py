"""What runs are called: a name begins with the time, so that rows of runs that work together lie together.

Rows are kept in the order of the names. Among random names every commit of a hundred runs would write to pages all over
the file; so it writes to a few that are neighbours. People need not read the time in a name, nor its count.
"""

import uuid

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # in the order in which databases sort them
HALF = 6  # digits that tell the time, and digits that tell runs of the same time apart
TICK = 0.125  # seconds; so the time begins again after four years


class RunNames:
    """Names for the runs that one process starts. Counting begins anywhere, so that processes do not meet."""

    def __init__(self) -> None:
        self._count = uuid.uuid4().int

    def new(self, now: float) -> str:
        """A name that no other run has; `now` is in seconds since the epoch."""
        self._count += 1
        return _digits(int(now / TICK)) + _digits(self._count)


def _digits(number: int) -> str:
    """The last `HALF` digits of `number`."""
    places = range(HALF - 1, -1, -1)
    return "".join([DIGITS[number // len(DIGITS) ** place % len(DIGITS)] for place in places])
