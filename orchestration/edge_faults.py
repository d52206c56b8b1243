"""Faults of edges: types that do not fit, maps over no list, joins without a map, gathers that do not match, bounds."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ..agents.type_forms import accepts, describe, item_of, parts_of
from .draft import Draft, listed, union
from .edges import Fork, Gather, Join, Link, targets_of


def faults_of_links(draft: Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Link):
            continue
        answers = draft.produces(edge.source)
        if edge.on is not None:
            if not any(accepts(edge.on, answer) or accepts(answer, edge.on) for answer in answers):
                yield f"{edge}: {edge.source!r} never answers {describe(edge.on)}, only {describe(union(answers))}"
                continue
            answers = (edge.on,)
        for target in targets_of(edge):
            yield from _faults_of_delivery(draft, str(edge), edge.source, answers, target)
        if edge.exhausted is not None and edge.max_visits is None:
            yield f"{edge}: `exhausted={edge.exhausted}` can never be reached without `max_visits=`"


def _faults_of_delivery(draft: Draft, edge: str, source: str, answers: Iterable[Any], target: str) -> Iterator[str]:
    takes = draft.consumes(target)
    if len(parts_of(takes)) > 1:
        yield f"{edge}: {target!r} takes {len(parts_of(takes))} messages {describe(takes)}; use `gather((…), {target})`"
        return
    refused = [answer for answer in answers if not accepts(takes, answer)]
    if refused and len(refused) < len(tuple(answers)):
        yield (
            f"{edge}: {source!r} may answer {describe(union(refused))}, which {target!r} does not take; "
            f"say which answers it gets with `on=`"
        )
    elif refused:
        yield f"{edge}: {source!r} answers with {describe(union(refused))}, but {target!r} takes {describe(takes)}"


def faults_of_maps(draft: Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Fork):
            continue
        items = [item_of(answer) for answer in draft.unrouted(edge.source)]
        if not items or None in items:
            yield (
                f"{edge}: {edge.source!r} answers with {describe(union(draft.produces(edge.source)))}, "
                f"but a map needs a list; return list[…], or use `edge`"
            )
        else:
            yield from _faults_of_delivery(draft, str(edge), edge.source, items, edge.target)


def faults_of_joins(draft: Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Join):
            continue
        if edge.source in draft.shape.reachable and draft.shape.fork_of(edge) is None:
            yield f"{edge}: {edge.source!r} stands in no map, so there is nothing to join; start one with `map`"
        takes = draft.consumes(edge.target)
        if item_of(takes) is None:
            yield f"{edge}: {edge.target!r} takes {describe(takes)}, but a join hands over a list; take list[…]"
        elif not accepts(item_of(takes), answers := union(draft.unrouted(edge.source))):
            yield f"{edge}: {edge.source!r} answers {describe(answers)}, but {edge.target!r} takes {describe(takes)}"


def faults_of_gathers(draft: Draft) -> Iterator[str]:
    for edge in draft.edges:
        if not isinstance(edge, Gather):
            continue
        takes = parts_of(draft.consumes(edge.target))
        if len(edge.sources) < 2:
            yield f"{edge}: a gather needs two sources or more; use `edge`"
            continue
        if repeated := [name for name, count in Counter(edge.sources).items() if count > 1]:
            yield f"{edge}: {listed(repeated)} is gathered more than once; name each source once"
            continue
        if len(takes) != len(edge.sources):
            yield (
                f"{edge}: {edge.target!r} has {len(takes)} inputs {describe(draft.consumes(edge.target))}, "
                f"but {len(edge.sources)} nodes are gathered; give one node for each"
            )
            continue
        for position, (source, part) in enumerate(zip(edge.sources, takes, strict=True), start=1):
            if not accepts(part, answers := union(draft.unrouted(source))):
                yield (
                    f"{edge}: input {position} of {edge.target!r} is {describe(part)}, "
                    f"but {source!r} answers with {describe(answers)}"
                )


def faults_of_repeats(draft: Draft) -> Iterator[str]:
    for edge, count in Counter(str(edge) for edge in draft.edges).items():
        if count > 1:
            yield f"{edge} is declared {count} times; keep one"
    for name, count in Counter(draft.definition.starts).items():
        if count > 1:
            yield f"start {name} is declared {count} times; keep one"
    gathered = Counter(edge.target for edge in draft.edges if isinstance(edge, Gather))
    for target, count in gathered.items():
        if count > 1:
            yield f"{target!r} is gathered for {count} times; name all its sources in one `gather`"


def faults_of_numbers(draft: Draft) -> Iterator[str]:
    for edge in draft.edges:
        match edge:
            case Link(max_visits=int(count)) | Fork(limit=int(count)) if count < 1:
                yield f"{edge}: its bound is {count}, but must be at least 1"
            case Join(at_least=count) if count < 0:
                yield f"{edge}: `at_least` is {count}, but must not be negative"
            case Join(within=float() | int() as seconds) if seconds <= 0:
                yield f"{edge}: `within` is {seconds} s, but must be more than 0"
            case _:
                pass
