"""`DecisionClassifier`: an agent that answers a message with a decision of its output type.

A light description: types, role, encoder, what the labels mean. Its heads live in the host and are opened when they are
first needed: those of the role's live release, or zero-shot ones. Which is live is asked for each message, so that a
promotion counts from the next one on. This file does not know how heads compute.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, cast

from .agent import Context, Described, In, Out
from .decisions import Decision
from .errors import OutputTypeError
from .messages import Message, Origin, Rejection
from .outputs import OutputPlan, output_faults, plan_output
from .releases import check_role, live_digest
from .rendering import feature_names, features_of, text_of
from .served_heads import HeadRequest, ServedHeads, serve_heads


class DecisionClassifier(Described[In, Out]):
    """Decides what its output type asks for.

        mood = DecisionClassifier[Question, Mood]("finance/mood", describe={"negative": "Bad news for shareholders."})
        risk = DecisionClassifier[Note, Publish | NeedsReview]("finance/risk")
        sure = DecisionClassifier[Question, Mood | Rejection]("finance/mood", abstain_below=0.6)

    `outputs` says which output types there are. Before any tuning it is zero-shot: it answers with the label whose
    description is most similar to the text, and its origin says that the confidence is not calibrated. Numeric fields
    of the input count from the first tuning on.

    Args:
        role: the role's name, under which it is tuned and logged.
        base: the encoder: a base checkpoint's name, a folder or a hub id.
        describe: what labels mean, a sentence for each label. A label that several fields have may be named as
            "field: label". A number has the labels "low" and "high". Unless given, a label is described by itself, a
            member of a union by its docstring.
        abstain_below: answer with Rejection where the probability (0 to 1) of being right is lower.
        name: its name in a graph; the last part of the role unless given.

    Raises:
        CheckpointError: `role` cannot name a role.
        ValueError: `abstain_below` is no probability.
    """

    def __init__(
        self,
        role: str,
        *,
        base: str = "minilm-l6",
        describe: Mapping[str, str] | None = None,
        abstain_below: float | None = None,
        name: str | None = None,
    ) -> None:
        check_role(role)
        if abstain_below is not None and not 0 < abstain_below <= 1:
            raise ValueError(f"classifier {role!r} has abstain_below={abstain_below}; expected more than 0, at most 1")
        self.role = role
        self.name = name or role.rpartition("/")[2]
        self.base = base
        self.describe = dict(describe or {})
        self.abstain_below = abstain_below

    def faults(self) -> list[str]:
        """Why these types and descriptions make no classifier, in sentences; empty where they do."""
        signature = self.signature
        faults = output_faults(signature.consumes, signature.produces, self.abstain_below)
        return faults or _faults_of_descriptions(self._types.heads, self.describe)

    @cached_property
    def plan(self) -> OutputPlan:
        """What it decides, and how its answers are made.

        Raises:
            OutputTypeError: `faults` finds any.
        """
        faults = self.faults()
        if faults:
            raise OutputTypeError(f"classifier {self.name!r}: {'; '.join(faults)}")
        return self._types

    async def handle(self, message: In, context: Context) -> Out:
        """The decision about `message`.

        Raises:
            OutputTypeError: `faults` finds any.
            CheckpointError: the base or the role's live release cannot be used.
            pydantic.ValidationError: a validator of the output type refuses what was decided.
        """
        given = cast("Message", message)
        plan = self.plan
        pinned = context.releases.get(self.role)
        release = live_digest(self.role) if pinned is None else pinned
        served = await context.host.resource(
            ("heads", self, release), lambda: serve_heads(self.request, context.host.engine, release)
        )
        text, features = text_of(given), self._features(given)
        if plan.rejects and not features and not any(map(str.isalnum, text)):
            return cast("Out", self._nothing_to_judge(served))
        embedding = (await context.host.engine.embed(served.base, [text]))[0]  # (D,)
        predictions = served.heads.predict(embedding, features)
        origin = Origin(
            role=self.role,
            weights=served.digest,
            calibrated=served.calibrated,
            alternatives=plan.alternatives(predictions),
        )
        return cast("Out", plan.build(predictions, given, origin))

    @property
    def _types(self) -> OutputPlan:
        signature = self.signature
        return plan_output(signature.consumes, signature.produces, self.abstain_below)

    @property
    def request(self) -> HeadRequest:
        """What its heads are asked for.

        Raises:
            OutputTypeError: `faults` finds any.
        """
        decisions = self.plan.heads
        descriptions = tuple(descriptions_of(decision, self.describe) for decision in decisions)
        return HeadRequest(self.role, self.base, decisions, descriptions, feature_names(self.plan.consumes))

    def _features(self, message: Message) -> tuple[float, ...]:
        """The numbers of `message` that its declared type has; a subclass may have more."""
        values = dict(features_of(message))
        return tuple(values[name] for name in feature_names(self.plan.consumes))

    def _nothing_to_judge(self, served: ServedHeads) -> Message:
        origin = Origin(role=self.role, weights=served.digest, calibrated=served.calibrated)
        return Rejection(by=self.role, reason="the message has no words and no numbers to judge by").made_by(origin)


def descriptions_of(decision: Decision, describe: Mapping[str, str]) -> tuple[str, ...]:
    """What each label of `decision` means: as `describe` says for "field: label" or "label", else by default."""
    return tuple(
        describe.get(f"{decision.field}: {label}", describe.get(label, default))
        for label, default in zip(decision.labels, decision.descriptions, strict=True)
    )


def _faults_of_descriptions(decisions: Sequence[Decision], describe: Mapping[str, Any]) -> list[str]:
    names = [label for decision in decisions for label in decision.labels]
    full = [f"{decision.field}: {label}" for decision in decisions for label in decision.labels if decision.field]
    faults = [
        f"describe= names {key!r}, which is no label; the labels are {', '.join(dict.fromkeys(names))}"
        for key in describe
        if key not in {*names, *full}
    ]
    empty = [key for key, sentence in describe.items() if not sentence.strip()]
    return [*faults, *(f"describe= says nothing about {key!r}; write a sentence, or leave it out" for key in empty)]
