"""What a question to a person rests on: the messages upstream of it, nearest first, down to what the run began with.

A pure function over the facts of one run. It knows no flow: who gave a message to whom is found by the digests of what
tasks were told and answered, so a later program, under changed code, finds the same.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .answer_form import JsonSchema
from .errors import ReviewAnswerError
from .queries import ShownFact
from .review_items import Amendment, LineageStep, ShownMessage
from .task_facts import INPUT, Turn, messages_in, nearest, role_of, turns_of

Amendments: TypeAlias = Mapping[tuple[str, str], Sequence[Amendment]]
"""What was corrected, by the run and the digest of the message."""


def lineage_of(
    run: str,
    facts: Sequence[ShownFact],
    task: str,
    schemas: Mapping[str, JsonSchema],
    amendments: Amendments,
) -> tuple[LineageStep, ...]:
    """What is upstream of the proposal at the review `task`, nearest first; the last step is what the run began with.

    The proposal itself is no step. What tasks handed on as it was is one step, of the task that made it.

    Args:
        facts: all of `run`, in order.
        schemas: by the name of the message type; one that is not there may be amended to any object.

    Raises:
        ReviewAnswerError: nobody was asked at `task`.
    """
    turns = turns_of(facts)
    review = _review(run, facts, turns, task)
    shown = _Shown(run, schemas, amendments)
    first = next(messages_in(facts[0].fields["message"]))
    known = {first.digest, *(proposal.digest for proposal in review.inputs)}
    steps: list[LineageStep] = []
    for maker, index, message in _upstream(turns, review):
        if message.digest not in known:
            known.add(message.digest)
            steps.append(shown.step(maker.task, maker.node, index, message))
    return (*steps, shown.step(INPUT, str(facts[0].fields["flow"]), None, first))


@dataclass(frozen=True, slots=True)
class _Shown:
    """Makes steps of messages."""

    run: str
    schemas: Mapping[str, JsonSchema]
    amendments: Amendments

    def step(self, task: str, node: str, index: int | None, message: ShownMessage) -> LineageStep:
        return LineageStep(
            run=self.run,
            task=task,
            node=node,
            message=message,
            index=index,
            role=role_of(message),
            schema=self.schemas.get(message.type, {"title": message.type, "type": "object"}),
            amended=tuple(self.amendments.get((self.run, message.digest), ())),
        )


def _review(run: str, facts: Sequence[ShownFact], turns: Sequence[Turn], task: str) -> Turn:
    asked = dict.fromkeys(str(fact.task) for fact in facts if fact.kind == "review-requested")
    if task not in asked:
        raise ReviewAnswerError(f"run {run!r} asks nobody at task {task!r}; it asks at {', '.join(asked) or 'none'}")
    return next(turn for turn in reversed(turns) if turn.task == task)  # what was swapped in stands before the tasks


def _upstream(turns: Sequence[Turn], review: Turn) -> Iterator[tuple[Turn, int | None, ShownMessage]]:
    """What `review` rests on, level by level, with the task that made it and the position there; some come twice."""
    makers: defaultdict[str, dict[Turn, int | None]] = defaultdict(dict)
    for turn in turns:
        for number, message in enumerate(turn.outputs):
            makers[message.digest].setdefault(turn, number if turn.listed else None)
    waiting, followed = deque([review]), {review}
    while waiting:
        reader = waiting.popleft()
        for message in {one.digest: one for one in reader.told}.values():
            known = makers.get(message.digest) or dict.fromkeys(_failed(turns, message))
            maker = nearest(known, reader.task, reader.began)
            if maker is None:
                continue  # the run began with it
            if not maker.handed_on(message):
                yield maker, known[maker], message
            if maker not in followed:
                followed.add(maker)
                waiting.append(maker)


def _failed(turns: Sequence[Turn], message: ShownMessage) -> list[Turn]:
    """The tasks whose error a handler was told of by `message`."""
    if message.type != "Failure":
        return []
    return [turn for turn in turns if turn.failure is not None and turn.failure.items() <= message.fields.items()]
