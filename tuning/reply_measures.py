"""How the replies that a language model writes compare with those it should have written: by field, and by citation.

    written = await write_replies(engine, str(folder), Note, rows, text_tokens=96)
    fields = field_matches(Note, written, [row.turns[-1].text for row in rows])    # {"text": (N), "citations": (N)}

Every measure gives one number for each row, so that any bootstrap fits it. Letters in shape comments: N rows.

This file knows nothing of weights, releases or training.
"""

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np

from ..agents.grammar import CITATIONS, grammar_of, spoken_field
from ..agents.inference import ChatTurn, Generation, Inference
from ..agents.prompting import handles
from .rows import DialogueRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = re.compile(r"^\[([A-Z]+)\] ", re.MULTILINE)  # how a prompt names a passage


async def write_replies(
    engine: Inference, base: str, produces: Any, rows: Sequence[DialogueRow], text_tokens: int
) -> list[str]:
    """What `base` writes, greedily and within the grammar of `produces`, in place of the last turn of each row.

    Args:
        engine: writes all of them together.
        base: a base checkpoint or the folder of a candidate's model.
        produces: the message type, or the union of them, that a reply is.
        rows: each ends with the turn that should be written; the one before may show passages.
        text_tokens: tokens for all texts of one reply together, at most.

    Raises:
        ContextOverflow: a row does not fit the model's context.
    """
    written = [""] * len(rows)

    async def write(number: int, turns: tuple[ChatTurn, ...]) -> None:
        grammar = grammar_of(produces, handles(_passages_shown(turns)), text_tokens)
        request = Generation(base, turns, grammar=grammar.text, max_new_tokens=grammar.longest)
        written[number] = (await engine.generate(request)).text

    async with anyio.create_task_group() as tasks:
        for number, row in enumerate(rows):
            tasks.start_soon(write, number, row.turns[:-1])
    return written


def field_matches(produces: Any, written: Sequence[str], wanted: Sequence[str]) -> "dict[str, NDArray[np.float64]]":
    """Of each field that any wanted reply has, 1 where the written one says exactly the same, else 0: (N) each.

    A row whose wanted reply lacks the field is not a number there.

    Raises:
        ValueError: there are not as many written replies as wanted ones, or one is no reply of this form.
    """
    pairs = [(reply_fields(produces, one), reply_fields(produces, two)) for one, two in _pairs(written, wanted)]
    names = dict.fromkeys(name for _, fields in pairs for name in fields)
    return {
        name: np.array([float(ours.get(name) == fields[name]) if name in fields else np.nan for ours, fields in pairs])
        for name in names
    }


def citation_precision(produces: Any, written: Sequence[str], wanted: Sequence[str]) -> "NDArray[np.float64]":
    """The share of citations of each written reply that the wanted one has too: (N), not a number where none is made.

    Raises:
        ValueError: as `field_matches` does.
    """
    return np.array(
        [
            _share(_cited(reply_fields(produces, one)), _cited(reply_fields(produces, two)))
            for one, two in _pairs(written, wanted)
        ]
    )


def reply_fields(produces: Any, text: str) -> dict[str, Any]:
    """The fields of a reply, the one that is spoken before the object included.

    Raises:
        ValueError: it is no reply of this form.
    """
    spoken = spoken_field(produces)
    said, _, rest = text.partition("\n") if spoken else ("", "", text)
    try:
        fields: Any = json.loads(rest)
    except ValueError as error:
        raise ValueError(f"{text[:60]!r} is no reply: {error}; expected what the grammar writes") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{text[:60]!r} is no reply: expected a JSON object, found a {type(fields).__name__}")
    return {spoken: said, **fields} if spoken else fields


def _pairs(written: Sequence[str], wanted: Sequence[str]) -> list[tuple[str, str]]:
    if len(written) != len(wanted):
        raise ValueError(f"cannot compare {len(written)} replies with {len(wanted)} wanted ones; expected one for each")
    return list(zip(written, wanted, strict=True))


def _passages_shown(turns: Sequence[ChatTurn]) -> int:
    """How many passages the last turn shows: their handles run from A on, each at the start of a line."""
    found = set(SHOWN.findall(turns[-1].text)) if turns else set()
    names = handles(len(found))
    return next((count for count, name in enumerate(names) if name not in found), len(names))


def _cited(fields: dict[str, Any]) -> list[str]:
    cited = fields.get(CITATIONS, [])
    return [str(one) for one in cited] if isinstance(cited, list) else []


def _share(cited: Sequence[str], right: Sequence[str]) -> float:
    return sum(one in right for one in cited) / len(cited) if cited else float("nan")
