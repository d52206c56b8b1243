"""Facts as rows."""

from typing import Any

import pytest
from pydantic_core import to_json

from coterie.agents import Message
from coterie.orchestration.events import Event, TaskFinished, TaskStarted
from coterie.orchestration.fact_rows import BEGINNING, check_chain, row_of

DIGEST = "d" * 64
NAMED = {"$message": DIGEST}


class Said(Message):
    text: str


SAID = Said(text="x")
STAMP = ("r", 1, 1.7e9)


@pytest.mark.parametrize(
    ("fact", "body"),
    [
        (TaskFinished(*STAMP, "a", "a", SAID), {"output": NAMED}),
        (TaskFinished(*STAMP, "a", "a", [SAID, SAID]), {"output": [NAMED, NAMED]}),
        (TaskFinished(*STAMP, "a", "a", None), {"output": None}),
        (TaskStarted(*STAMP, "a", "a", 12, [SAID], {}), {"attempt": 12, "inputs": [NAMED], "given": {}}),
        (TaskStarted(*STAMP, "a", "a", 1, [SAID, SAID], {}), {"attempt": 1, "inputs": [NAMED, NAMED], "given": {}}),
        (TaskStarted(*STAMP, "a", "a", 1, [[SAID]], {}), {"attempt": 1, "inputs": [[NAMED]], "given": {}}),
        (
            TaskStarted(*STAMP, "a", "a", 1, [SAID], {"b": SAID}),
            {"attempt": 1, "inputs": [NAMED], "given": {"b": NAMED}},
        ),
    ],
)
def test_the_body_of_a_step_is_the_json_of_its_other_fields(fact: Event, body: dict[str, Any]) -> None:
    row = row_of(fact, BEGINNING, lambda _: DIGEST)
    assert row.body == to_json(body).decode()
    assert row[:6] == ("r", 1, row.kind, 1.7e9, "a", "a")
    assert check_chain("r", [row]) == row.hash
