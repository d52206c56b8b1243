"""The reviews of one run that wait for people: answered by the program, taken from a desk, or out of time.

Decides nothing about what follows from an answer (review.py, scheduler.py) and keeps nothing that the log has not.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from pydantic import ValidationError
from pydantic_core import to_json

from ..agents.errors import MessageError
from ..agents.type_forms import members
from .answer_form import ReviewForm
from .attempt import Raised
from .errors import LogUnavailable, ReviewAnswerError, ReviewOverdue, ReviewRejected, ReviewTaken
from .events import Event, ReviewAnswered, ReviewWithdrawn
from .log import Decided, Log, Transaction
from .review import Review
from .review_answers import Answer, Approve, Choose, Edit, Reject
from .state import Task


class Holder(Protocol):
    """What reviews need from their run."""

    id: str

    @property
    def log(self) -> Log: ...

    def stamp(self) -> tuple[str, int, float]: ...

    async def served(self) -> None: ...

    async def wait_changed(self) -> None: ...

    async def settle_review(
        self, task: Task, outcome: Any, happened: Callable[[], Sequence[Event]], action: Transaction | None
    ) -> Raised | None: ...

    def wake(self) -> None: ...


class PendingReviews:
    """The tasks of a run that wait for a person, by their ids."""

    def __init__(self, run: Holder) -> None:
        self._run = run
        self.tasks: dict[str, Task] = {}
        self._closing: dict[str, Task] = {}  # whose outcome is about to be kept
        self.answered: frozenset[str] = frozenset()  # at a desk; the run takes them soon
        self.looked = True  # whether the log has been asked what was answered

    @property
    def wait(self) -> bool:
        """Whether there are any."""
        return bool(self.tasks or self._closing)

    @property
    def are_answered(self) -> bool:
        """Whether some are answered at a desk, or may be for all that is known."""
        return bool(self.tasks) and (bool(self.answered) or not self.looked)

    def task(self, name: str) -> Task:
        """The pending review `name`.

        Raises:
            ReviewAnswerError: there is none.
        """
        if name not in self.tasks:
            waiting = ", ".join(sorted(self.tasks)) or "none"
            raise ReviewAnswerError(f"run {self._run.id!r} has no pending review {name!r}; pending: {waiting}")
        return self.tasks[name]

    def node(self, name: str) -> Review[Any, Any]:
        """The review node that the pending review `name` stands at.

        Raises:
            ReviewAnswerError: no such review is pending.
        """
        return _node(self.task(name))

    async def answer(self, name: str, answer: Answer) -> None:
        """Answer `name` from within the program.

        Raises:
            ReviewAnswerError: no such review is pending, or the answer does not fit it; nothing has changed.
            ReviewTaken: somebody was first, or has it open.
            NotAllowed: whoever answers may not decide.
        """
        await self._run.served()
        task = self.task(name)
        outcome = outcome_of(task, answer)
        with self._only_here(task):
            number = await self._run.log.answer(self._run.id, name, answer, _form(_node(task)))
            if number is not None:  # else others must give it, too
                await self._close(task, answer, outcome, number)

    async def take(self, decided: Decided) -> None:
        """Take what was answered at a desk, or ask again where it does not fit."""
        task = self.tasks.get(decided.task)
        if task is None:
            return
        with self._only_here(task):
            try:
                answer = answer_of(decided, _node(task))
                outcome = outcome_of(task, answer)
            except (ReviewAnswerError, MessageError, ValidationError) as error:
                with suppress(LogUnavailable):  # then it is found again
                    await self._run.log.refuse(decided, _told(error))
                return
            with suppress(ReviewTaken):  # it was taken back, and perhaps answered anew
                await self._close(task, answer, outcome, decided.decision, decided)

    async def expire(self, name: str) -> None:
        """The time for an answer is over: the task fails, unless somebody has answered."""
        while (task := self.tasks.get(name)) is not None:
            with suppress(ReviewTaken), self._only_here(task):
                await self._close_overdue(task)
                return
            self.looked = False
            while name in self.tasks and (name in self.answered or not self.looked):
                await self._run.wait_changed()  # until the answer has been taken into the run, or back

    def withdraw(self, name: str) -> Task | None:
        """The review that nobody need answer any more; None: it is none."""
        closing = self._closing.pop(name, None)
        return self.tasks.pop(name, closing)

    def clear(self) -> None:
        """The run has ended."""
        self.tasks.clear()
        self._closing.clear()

    async def _close(
        self, task: Task, answer: Answer, outcome: Any, number: int, decided: Decided | None = None
    ) -> None:
        if decided is None:
            decided = Decided(self._run.id, task.id, number, answer.by, answer.kind, {}, 0.0)
        action = self._run.log.taking(decided) if number else None
        await self._settle(
            task, outcome, lambda: [ReviewAnswered(*self._run.stamp(), task.id, task.node, answer, number)], action
        )

    async def _close_overdue(self, task: Task) -> None:
        assert task.asking is not None  # noqa: S101 - it is a review
        overdue = Raised(ReviewOverdue(task.node, task.asking.deadline or 0.0))
        action = self._run.log.expiring(self._run.id, task.id)
        await self._settle(task, overdue, lambda: [ReviewWithdrawn(*self._run.stamp(), task.id, task.node)], action)

    async def _settle(
        self, task: Task, outcome: Any, happened: Callable[[], Sequence[Event]], action: Transaction | None
    ) -> None:
        raised = await self._run.settle_review(task, outcome, happened, action)
        if raised is not None:
            raise raised.error
        self._closing.pop(task.id, None)

    @contextmanager
    def _only_here(self, task: Task) -> Iterator[None]:
        """While `task` is being closed, nobody else does so; unless it was, it waits on."""
        self._closing[task.id] = self.tasks.pop(task.id)
        try:
            yield
        finally:
            if self._closing.pop(task.id, None) is not None:
                self.tasks[task.id] = task
                self._run.wake()


def outcome_of(task: Task, answer: Answer) -> Any:
    """What `task` answers with when a person answers so, or what it raised.

    Raises:
        ReviewAnswerError: the answer does not fit the review.
    """
    try:
        return _node(task).decide(task.message, answer)
    except ReviewRejected as rejection:
        return Raised(rejection)


def answer_of(decided: Decided, review: Review[Any, Any]) -> Answer:
    """The typed answer that was given at a desk, as JSON values.

    Raises:
        ReviewAnswerError: `review` sends on no message of such a type.
        ValidationError, MessageError: the fields do not fit it.
    """
    said = decided.body
    match decided.act:
        case "choose":
            return Choose(label=said["label"], by=decided.by)
        case "edit":
            for kind in members(review.signature.produces):
                if kind.schema_name == said["type"]:
                    fields = to_json(said["fields"])
                    return Edit(message=kind.model_validate_json(fields, strict=False), by=decided.by)
            raise ReviewAnswerError(f"{review.name!r} sends on no {said['type']}")
        case "reject":
            return Reject(code=said.get("code", ""), reason=said.get("reason", ""), by=decided.by)
        case _:
            return Approve(by=decided.by)


def seconds_left(task: Task, asked: float) -> float | None:
    """How long the review `task`, which was asked at `asked`, may still wait; None: for ever."""
    if task.asking is None or task.asking.deadline is None:
        return None
    return max(0.0, asked + task.asking.deadline - time.time())


def _node(task: Task) -> Review[Any, Any]:
    node: Review[Any, Any] = task.flow.nodes[task.node]  # type: ignore[assignment]
    return node


def _form(review: Review[Any, Any]) -> ReviewForm:
    """What counts of the review's form where a program answers: it is answered at once."""
    label = review.label_field
    return ReviewForm(
        approves_to=review.approves_to,
        types={},
        label_field=None if label is None else label.field,
        approvals=review.approvals,
        grace=0.0,
        author_may_decide=review.author_may_decide,
    )


def _told(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_url=False))
