"""The desk over a log, for the commands that read it or write to it."""

from ...agents.loading import load
from ..logs import existing, storable
from ..who import who
from .desk import OpenDesk


def open_desk(place: str, by: str | None, flow: str | None) -> OpenDesk:
    """The desk over the log at `place`."""
    desk: OpenDesk = load("orchestration.review_desk").ReviewDesk(
        existing(place), who(by), flow=storable("--flow", flow)
    )
    return desk
