"""Packed sequences: as few packs as fit, and each sequence computed as if it were alone."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

from coterie.tuning.packing import best_fit, block_mask, layout

LENGTHS = [[7, 20, 5], [31], [1, 1, 13]]


def tiny_qwen() -> torch.nn.Module:
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=300,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    return Qwen2ForCausalLM(config).eval()


@given(st.lists(st.integers(1, 130), max_size=60), st.integers(1, 100))
def test_every_item_is_packed_once_within_the_capacity(lengths: list[int], capacity: int) -> None:
    """An item that is too long has a pack of its own; no two packs could have been one."""
    packs = best_fit(lengths, capacity)
    assert sorted(item for pack in packs for item in pack) == list(range(len(lengths)))
    totals = [sum(lengths[item] for item in pack) for pack in packs]
    assert all(total <= capacity or len(pack) == 1 for total, pack in zip(totals, packs, strict=True))
    assert len(totals) < 2 or sum(sorted(totals)[:2]) > capacity


def test_the_fullest_pack_that_has_room_takes_an_item() -> None:
    """6 and 5 open packs of 10; 4 joins 6, 3 joins 5, and 2 fills that."""
    assert best_fit([2, 3, 4, 5, 6], 10) == [(4, 2), (3, 1, 0)]


@pytest.mark.parametrize(("lengths", "capacity"), [([3], 0), ([0, 2], 8)])
def test_nothing_cannot_be_packed(lengths: list[int], capacity: int) -> None:
    """Neither a sequence without tokens nor a pack without room."""
    with pytest.raises(ValueError, match="both are above 0"):
        best_fit(lengths, capacity)


def test_positions_begin_again_with_each_sequence() -> None:
    """And padding has a block of its own."""
    laid = layout([[2, 3], [1]])
    assert laid.positions.tolist() == [[0, 1, 0, 1, 2], [0, 0, 0, 0, 0]]
    assert laid.blocks.tolist() == [[0, 0, 1, 1, 1], [0, -1, -1, -1, -1]]


def test_no_token_may_see_another_sequence_or_what_follows() -> None:
    """The mask is a causal triangle for each sequence, and nothing else."""
    (mask,) = block_mask(torch.tensor([[0, 0, 1, 1, -1]]))[:, 0].int().tolist()
    assert mask == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]]


@pytest.mark.parametrize("architecture", ["llama", "qwen"])
def test_packed_logits_are_those_of_each_sequence_alone(tiny_decoder: Path, architecture: str) -> None:
    """In float32 within 1e-5, in the midst of a pack and beside padding."""
    model = AutoModelForCausalLM.from_pretrained(tiny_decoder).eval() if architecture == "llama" else tiny_qwen()
    torch.manual_seed(0)
    rows = [[torch.randint(3, 290, (length,)) for length in pack] for pack in LENGTHS]
    laid = layout(LENGTHS)
    tokens = torch.zeros_like(laid.positions)
    for pack, sequences in zip(tokens, rows, strict=True):
        joined = torch.cat(sequences)
        pack[: len(joined)] = joined
    with torch.inference_mode():
        packed = model(input_ids=tokens, attention_mask=laid.mask, position_ids=laid.positions, use_cache=False).logits
        for number, sequences in enumerate(rows):
            alone = torch.cat([model(input_ids=one[None], use_cache=False).logits[0] for one in sequences])
            torch.testing.assert_close(packed[number, : len(alone)], alone, atol=1e-5, rtol=1e-5)


def test_no_gradient_crosses_from_one_sequence_to_another(tiny_decoder: Path) -> None:
    """What a sequence is computed from are its own embeddings alone."""
    model = AutoModelForCausalLM.from_pretrained(tiny_decoder).eval()
    laid = layout([[4, 6, 3]])
    embeddings = model.get_input_embeddings()(torch.arange(3, 16)[None]).detach().requires_grad_()
    logits = model(inputs_embeds=embeddings, attention_mask=laid.mask, position_ids=laid.positions).logits
    logits[0, 4:10].sum().backward()
    assert embeddings.grad is not None
    moved = embeddings.grad[0].abs().sum(-1) > 0
    assert moved.tolist() == [False] * 4 + [True] * 6 + [False] * 3
