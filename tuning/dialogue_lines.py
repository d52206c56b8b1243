"""Lines of a dialogue manager's labelled file as rows.

    {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}
    {"prompt": "…", "completion": "…"}                  both texts, or both lists of messages
    {"prompt": "…", "chosen": "…", "rejected": "…"}     the same; without `prompt`, both begin with the same messages

Every turn of the assistant in `messages` is learned, but for those with `"weight": 0`; of the other formats, what
follows the prompt. This file knows nothing of splits, of chat templates or of tokens.
"""

from collections.abc import Sequence
from typing import Any, cast, get_args

from ..agents.inference import ChatTurn, Speaker
from .lines import Line, Refused, listed, shown, text_from
from .rows import DialogueRow
from .splits import thread_of_text

SPEAKERS: tuple[str, ...] = get_args(Speaker)


def conversation_row(line: Line) -> DialogueRow:
    """The row of a line with `messages`.

    Raises:
        Refused: it holds something else, or no turn of it is to be learned.
    """
    items = line.content.get("messages")
    turns = _turns(items, "messages")
    weights = [item.get("weight", 1) for item in items] if isinstance(items, list) else []
    supervised = tuple(
        turn.speaker == "assistant" and bool(weight) for turn, weight in zip(turns, weights, strict=True)
    )
    return _row(line, turns, supervised)


def completion_row(line: Line) -> DialogueRow:
    """The row of a line with `prompt` and `completion`.

    Raises:
        Refused: a column is missing or holds something else.
    """
    prompt = _said(line.content.get("prompt"), "prompt", "user")
    return _followed(line, prompt, _said(line.content.get("completion"), "completion", "assistant"))


def preference_row(line: Line) -> DialogueRow:
    """The row of a line with `chosen` and `rejected`: the chosen conversation, and what else its last turn could be.

    Raises:
        Refused: a column is missing or holds something else, the two differ before their last turn, or not in it.
    """
    content = line.content
    prompt = _said(content["prompt"], "prompt", "user") if content.get("prompt") else []
    chosen = _said(content.get("chosen"), "chosen", "assistant")
    rejected = _said(content.get("rejected"), "rejected", "assistant")
    if chosen[:-1] != rejected[:-1]:
        raise Refused("'chosen' and 'rejected' differ before their last turn; expected two ends of one conversation")
    if chosen[-1].speaker != "assistant" or rejected[-1].speaker != "assistant":
        raise Refused(f"the last turn is of the {chosen[-1].speaker}, expected one of the assistant")
    if chosen[-1] == rejected[-1]:
        raise Refused("'chosen' and 'rejected' say the same; there is nothing to prefer")
    if not prompt and len(chosen) == 1:
        raise Refused(f"nothing stands before 'chosen'; expected a 'prompt' beside it, found {listed(content)}")
    return _followed(line, [*prompt, *chosen[:-1]], chosen[-1:], rejected[-1].text)


def _followed(
    line: Line, before: Sequence[ChatTurn], after: Sequence[ChatTurn], rejected: str | None = None
) -> DialogueRow:
    supervised = (*(False for _ in before), *(turn.speaker == "assistant" for turn in after))
    return _row(line, (*before, *after), supervised, rejected)


def _row(
    line: Line, turns: Sequence[ChatTurn], supervised: tuple[bool, ...], rejected: str | None = None
) -> DialogueRow:
    if not any(supervised):
        raise Refused("no turn of the assistant is to be learned; expected at least one")
    thread = thread_of_text("\n".join(turn.text for turn in turns if turn.speaker != "system"))
    return DialogueRow(thread, tuple(turns), supervised, line.part or "train", line.source(thread), rejected)


def _said(value: Any, column: str, speaker: Speaker) -> list[ChatTurn]:
    """The turns in a column that holds either a text of `speaker` or a list of messages."""
    if isinstance(value, list):
        return _turns(value, column)
    return [ChatTurn(speaker, text_from(value, repr(column)))]


def _turns(items: Any, column: str) -> list[ChatTurn]:
    if not isinstance(items, list) or not items:
        raise Refused(f"{column!r} is {shown(items)}, expected a list of messages")
    return [_turn(item, f"{column}[{number}]") for number, item in enumerate(items)]


def _turn(item: Any, place: str) -> ChatTurn:
    if not isinstance(item, dict):
        raise Refused(f"{place} is {shown(item)}, expected an object with `role` and `content`")
    speaker = item.get("role")
    if speaker not in SPEAKERS:
        raise Refused(f"{place}.role is {shown(speaker)}, expected {listed(SPEAKERS)}")
    return ChatTurn(cast("Speaker", speaker), text_from(item.get("content"), f"{place}.content"))
