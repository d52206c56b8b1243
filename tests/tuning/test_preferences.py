"""Preference tuning: its formula, its pairs, and that an edited reply gains on the original."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from coterie.agents.inference import ChatTurn
from coterie.tuning.errors import DatasetError
from coterie.tuning.preferences import direct_preference, mean_preference, preference_losses, preference_pairs
from coterie.tuning.rows import DialogueRow, Source
from coterie.tuning.supervision import RoleMask
from coterie.tuning.token_batches import token_batch
from coterie.tuning.token_scores import with_references

numbers = st.floats(-50, 0)


def changed(before: str = "costs rose", after: str = "costs fell", turns: int = 1) -> DialogueRow:
    said = [ChatTurn("user", "how did costs move?"), ChatTurn("assistant", after)]
    earlier = [ChatTurn("user", "hello, hello"), ChatTurn("assistant", "good day")] * (turns - 1)
    marks = (False, True) * turns
    return DialogueRow("a", (*earlier, *said), marks, "train", Source("run 4, writer/1", "t"), rejected=before)


@given(numbers, numbers, numbers, numbers, st.floats(0.01, 2))
def test_the_loss_is_that_of_the_paper(
    edited: float, original: float, first: float, second: float, beta: float
) -> None:
    """Equation 7 of Rafailov et al. 2023, in double precision by hand."""
    losses, margins = direct_preference(
        torch.tensor([edited, original], dtype=torch.float64), torch.tensor([first, second], dtype=torch.float64), beta
    )
    margin = beta * (edited - first) - beta * (original - second)
    assert float(margins) == pytest.approx(margin, abs=1e-9)
    assert float(losses) == pytest.approx(math.log1p(math.exp(-margin)), abs=1e-9)


def test_pairs_differ_in_their_last_turn_only(tiny_decoder: Path) -> None:
    """Which alone is learned; the edited reply comes first."""
    (pair,) = preference_pairs(RoleMask(tiny_decoder), [changed(turns=2)], 1_000)
    tokenizer = RoleMask(tiny_decoder)._tokenizer
    edited, original = pair.sequences
    begin = int(edited.supervised.argmax())
    assert edited.tokens[:begin].tolist() == original.tokens[:begin].tolist()
    assert tokenizer.decode(edited.tokens[edited.supervised]) == "costs fell<|im_end|>"
    assert tokenizer.decode(original.tokens[original.supervised]) == "costs rose<|im_end|>"


def test_both_lose_the_same_turns(tiny_decoder: Path) -> None:
    """As many as the longer one must."""
    mask = RoleMask(tiny_decoder)
    row = changed(before="costs rose " * 9, turns=3)
    (whole,) = preference_pairs(mask, [row], 1_000)
    (cut,) = preference_pairs(mask, [row], len(whole.sequences[1]) - 1)
    assert [one.turns_cut for one in cut.sequences] == [2, 2]


def test_rows_that_nobody_changed_make_no_pair(tiny_decoder: Path) -> None:
    """Nor do those that were changed to what they were, or that cannot fit."""
    rows = [replace(changed(), rejected=None), changed("costs fell", "costs fell"), changed("so " * 3_000)]
    assert preference_pairs(RoleMask(tiny_decoder), rows, 256) == []


def test_only_the_assistant_can_be_preferred(tiny_decoder: Path) -> None:
    """A row that ends with a user's turn is refused by name."""
    row = changed()
    ends = replace(row, turns=(*row.turns, ChatTurn("user", "thanks")), supervised=(*row.supervised, False))
    with pytest.raises(
        DatasetError, match=r"'a' \(run 4, writer/1\) was changed at its last turn, which is the user's"
    ):
        preference_pairs(RoleMask(tiny_decoder), [ends], 1_000)


def test_the_reference_itself_has_no_margin(tiny_decoder: Path) -> None:
    """Every loss is log 2, whatever beta is, and no pair is won."""
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_decoder).eval()
    pairs = preference_pairs(RoleMask(tiny_decoder), [changed(), changed("a", "b", 2)], 1_000)
    known = with_references(model, pairs, 1_000)
    loss, won = mean_preference(model, known, 1_000, beta=5.0)
    assert loss == pytest.approx(math.log(2), abs=1e-4)
    assert won < 1


def test_a_step_makes_the_edited_reply_likelier_than_the_original(tiny_decoder: Path) -> None:
    """Against the reference; and the supervised term keeps the edited reply's own likelihood from falling."""
    model: Any = AutoModelForCausalLM.from_pretrained(tiny_decoder).eval()
    pairs = with_references(model, preference_pairs(RoleMask(tiny_decoder), [changed()], 1_000), 1_000)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    batch = token_batch(pairs)
    before = preference_losses(model, batch, beta=0.5)
    (before.preference + before.supervised).sum().backward()
    optimizer.step()
    after = preference_losses(model, batch, beta=0.5)
    assert after.margins.item() > before.margins.item() + 0.01
    assert after.supervised.item() < before.supervised.item()
