"""What a language model makes of supervised tokens: as its plain logits say, however they are packed and cached."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from transformers import AutoModelForCausalLM

from coterie.tuning.adapters import prepare
from coterie.tuning.recipes import Recipe
from coterie.tuning.supervision import SupervisedTokens
from coterie.tuning.token_batches import Example, packed_batches, token_batch
from coterie.tuning.token_scores import (
    frozen_blocks,
    mean_loss,
    sequence_scores,
    token_losses,
    with_references,
    with_states,
)

ROOMY = 1 << 30  # bytes


def load(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def sequences(lengths: list[int], seed: int = 0, weight: float = 1.0) -> list[SupervisedTokens]:
    """Random conversations; about a third of their tokens are supervised, never the first."""
    chance = np.random.default_rng(seed)
    made = []
    for number, length in enumerate(lengths):
        supervised = chance.random(length) < 0.3
        supervised[0], supervised[-1] = False, True
        made.append(SupervisedTokens(f"row {number}", chance.integers(3, 290, length), supervised, weight))
    return made


def alone(model: Any, one: SupervisedTokens) -> torch.Tensor:
    """The losses of its supervised tokens, from all of its logits."""
    ids = torch.from_numpy(one.tokens)
    logits = model(input_ids=ids[None], use_cache=False).logits[0]
    losses = functional.cross_entropy(logits[:-1], ids[1:], reduction="none")
    return losses[torch.from_numpy(one.supervised)[1:]]


@pytest.fixture
def model(tiny_decoder: Path) -> Any:
    return load(tiny_decoder)


def test_losses_are_those_of_each_conversation_alone(model: Any) -> None:
    """In any packing, for the supervised tokens and only for these; weights and numbers go with them."""
    rows = sequences([30, 700, 500, 9], weight=0.5)
    batch = token_batch([Example((row,)) for row in rows])
    with torch.no_grad():
        losses = token_losses(model, batch)
        for number, row in enumerate(rows):
            found = losses[batch.sequences == number]
            torch.testing.assert_close(found, alone(model, row), atol=1e-5, rtol=1e-5)
    assert batch.weights.tolist() == [0.5] * len(losses)


def test_only_supervised_places_go_through_the_output_table(model: Any) -> None:
    """Which is the largest product of a small model."""
    rows = []
    model.get_output_embeddings().register_forward_hook(lambda module, inputs, output: rows.append(len(inputs[0])))
    batch = token_batch([Example((one,)) for one in sequences([40, 25])])
    token_losses(model, batch)
    assert rows == [len(batch.targets)]


def test_scores_are_sums_over_a_sequence(model: Any) -> None:
    """With how many tokens they are of, in the order of the examples."""
    pairs = [Example((first, second)) for first, second in zip(sequences([20, 8]), sequences([11, 30], 1), strict=True)]
    batch = token_batch(pairs)
    with torch.no_grad():
        scores, lengths = sequence_scores(token_losses(model, batch), batch)
        expected = [-float(alone(model, one).sum()) for pair in pairs for one in pair.sequences]
    torch.testing.assert_close(scores, torch.tensor(expected), atol=1e-4, rtol=1e-5)
    assert lengths.tolist() == [int(one.supervised.sum()) for pair in pairs for one in pair.sequences]


def test_references_are_kept_with_their_sequences(model: Any) -> None:
    """Whatever batches they were computed in."""
    pairs = [Example((one, other)) for one, other in zip(sequences([20, 8, 60]), sequences([9, 7, 5], 1), strict=True)]
    with torch.no_grad():
        for pair in with_references(model, pairs, 40):
            expected = [-float(alone(model, one).sum()) for one in pair.sequences]
            assert pair.references == pytest.approx(expected, abs=1e-3)


def test_the_mean_counts_every_token_once(model: Any) -> None:
    """Whatever the batches."""
    rows = sequences([30, 12, 44, 9])
    with torch.no_grad():
        expected = float(torch.cat([alone(model, row) for row in rows]).mean())
    for tokens in (16, 64, 4_096):
        assert mean_loss(model, [Example((row,)) for row in rows], tokens) == pytest.approx(expected, abs=1e-5)


def test_smoothing_spreads_a_share_of_each_target(model: Any) -> None:
    """As torch defines it."""
    (row,) = sequences([20])
    with torch.no_grad():
        smoothed = token_losses(model, token_batch([Example((row,))]), smoothing=0.2)
        ids = torch.from_numpy(row.tokens)
        logs = torch.log_softmax(model(input_ids=ids[None]).logits[0, :-1], -1)[torch.from_numpy(row.supervised)[1:]]
    expected = 0.8 * alone(model, row) - 0.2 * logs.mean(-1)
    torch.testing.assert_close(smoothed, expected.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["top", "lora"])
def test_states_of_frozen_blocks_give_the_same_losses_and_gradients(tiny_decoder: Path, method: str) -> None:
    """Those that were computed once, against a pass through every block."""
    model = load(tiny_decoder)
    recipe = Recipe(method=method, layers=1)  # type: ignore[arg-type]
    prepare(model, recipe, 0, places=["model.layers.1.mlp.down_proj"] if method == "lora" else None)
    assert frozen_blocks(model) == 1
    rows = [Example((row,)) for row in sequences([30, 12, 44])]
    kept = with_states(model, rows, ROOMY)
    trained = [one for one in model.parameters() if one.requires_grad]
    results = []
    for examples in (rows, kept):
        losses = token_losses(model, token_batch(examples))
        results.append((losses, torch.autograd.grad(losses.sum(), trained)))
    torch.testing.assert_close(results[1], results[0], atol=1e-4, rtol=1e-4)
    assert all(one.states[0].shape == (len(one), 64) and one.depth == 1 for one in kept)


def test_states_that_do_not_fit_are_not_kept(tiny_decoder: Path) -> None:
    """Then every pass begins with the tokens."""
    model = load(tiny_decoder)
    prepare(model, Recipe(method="top", layers=1), 0)
    rows = [Example((row,)) for row in sequences([30])]
    assert with_states(model, rows, 30 * 64 * 4)[0].states
    assert not with_states(model, rows, 30 * 64 * 4 - 1)[0].states


def test_nothing_is_kept_where_every_block_learns(tiny_decoder: Path) -> None:
    """Nor where the table of embeddings does."""
    model = load(tiny_decoder)
    prepare(model, Recipe(method="full"), 0)
    assert frozen_blocks(model) == 0
    prepare(model, Recipe(method="top", layers=1), 0)
    model.get_input_embeddings().requires_grad_(True)
    assert frozen_blocks(model) == 0


def test_every_example_is_in_one_batch_of_an_epoch() -> None:
    """Within the budget of tokens; the same seed gives the same, another epoch another order."""
    examples = [Example((one,)) for one in sequences([30, 90, 55, 8, 41, 12, 300, 7])]
    batches = packed_batches(examples, 128, seed=3)
    for epoch in range(3):
        made = batches(epoch)
        assert sorted(number for batch in made for number in batch) == list(range(8))
        assert all(len(batch) == 1 or token_batch([examples[n] for n in batch]).tokens.numel() <= 128 for batch in made)
    assert batches(0) == packed_batches(examples, 128, seed=3)(0)
    assert batches(0) != batches(1)
