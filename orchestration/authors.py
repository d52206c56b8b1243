"""Whether whoever started a run may decide about it. Knows only names."""

from .errors import NotAllowed


def check_author(author: str | None, by: str, may_decide: bool) -> None:
    """Returns where `by` may decide about a run that `author` started.

    Raises:
        NotAllowed: the flow wants another person than the author, and `by` is the author or cannot be told from them.
    """
    if may_decide:
        return
    if author is None:
        raise NotAllowed(by, "decide", [], [], "nobody said who started the run, so nobody can be told from its author")
    if author == by:
        raise NotAllowed(by, "decide", ["the run's author"], [], "whoever starts a run may not approve it here")
