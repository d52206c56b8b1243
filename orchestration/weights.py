"""Which weights have answered in a run, and whether the same would answer now.

Every message of a model carries its `Origin`, so the facts of a run tell; nothing is loaded to find out.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import anyio.to_thread

from ..agents.loading import load
from ..agents.messages import Message
from .events import Event, TaskFinished

if TYPE_CHECKING:
    from ..agents.releases import Release


async def serving_weights(facts: Sequence[Event]) -> dict[str, str]:
    """For each role that has answered in a run: the release that did, "" where it worked zero-shot."""
    latest = _latest(facts)
    return await anyio.to_thread.run_sync(_serving, latest) if latest else {}


async def changed_weights(facts: Sequence[Event]) -> list[str]:
    """A sentence for each role that would now answer with other weights than it did in the run."""
    latest = _latest(facts)
    return await anyio.to_thread.run_sync(_changed, latest) if latest else []


def _serving(latest: dict[str, str]) -> dict[str, str]:
    stored_digests = load("agents.releases").stored_digests
    return {role: digest if digest in stored_digests(role) else "" for role, digest in latest.items()}


def _changed(latest: dict[str, str]) -> list[str]:
    found = []
    for role, before in _serving(latest).items():
        release: Release | None = load("agents.releases").live(role)
        now = "" if release is None else release.digest
        if now != before:
            found.append(
                f"role {role!r} answered with {before[:12] or 'its zero-shot form'} when the run began, and would now "
                f"with {now[:12] or 'its zero-shot form'}; resume with pin=True to keep the former"
            )
    return found


def _latest(facts: Sequence[Event]) -> dict[str, str]:
    return {message.origin.role: message.origin.weights for message in _outputs(facts) if message.origin is not None}


def _outputs(facts: Sequence[Event]) -> Iterator[Message]:
    for fact in facts:
        if isinstance(fact, TaskFinished) and fact.output is not None:
            yield from fact.output if isinstance(fact.output, list) else (fact.output,)
