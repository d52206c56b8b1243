"""Bottleneck adapters beside a checkpoint: applied by encoders and language models, refused where they do not fit."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoModelForCausalLM

from coterie.agents.bottleneck import AdaptedLinear, adapt, adapter_state, apply_adapters, has_adapters
from coterie.agents.encoder import Encoder
from coterie.agents.errors import CheckpointRefused
from coterie.agents.language_model import LanguageModel
from coterie.agents.plain_decoder import PlainDecoder

FLOAT32, CPU = torch.float32, torch.device("cpu")


def adapted_copy(folder: Path, target: Path, model: torch.nn.Module, place: str) -> Path:
    """A copy of a checkpoint, with an adapter at `place` that does change something."""
    shutil.copytree(folder, target)
    torch.manual_seed(0)
    torch.nn.init.normal_(adapt(model, place, 4).up.weight, std=5)
    save_file(adapter_state(model), target / "bottleneck.safetensors")
    return target


def test_an_encoder_applies_the_adapters_beside_it(tiny_encoder: Path, tmp_path: Path) -> None:
    """Its embeddings are those of the adapted model, and others than without."""
    model = AutoModel.from_pretrained(tiny_encoder)
    folder = adapted_copy(tiny_encoder, tmp_path / "adapted", model, "encoder.layer.1.output.dense")
    plain, encoder = Encoder(tiny_encoder, CPU, FLOAT32), Encoder(folder, CPU, FLOAT32)
    tokens = encoder.tokenize(["revenue rose"])
    states = model.eval()(input_ids=torch.tensor(tokens)).last_hidden_state.mean(dim=1)
    embedded = encoder.embed(tokens, len(tokens[0]))
    assert torch.allclose(embedded, torch.nn.functional.normalize(states, dim=-1), atol=1e-5)
    assert not torch.allclose(embedded, plain.embed(tokens, len(tokens[0])), atol=1e-2)


def test_a_language_model_with_adapters_decodes_one_reply_at_a_time(tiny_decoder: Path, tmp_path: Path) -> None:
    """The lean forward pass knows plain projections only."""
    model = AutoModelForCausalLM.from_pretrained(tiny_decoder)
    folder = adapted_copy(tiny_decoder, tmp_path / "adapted", model, "model.layers.0.mlp.down_proj")
    assert isinstance(LanguageModel(folder, CPU, FLOAT32, 2).decoder, PlainDecoder)
    assert not isinstance(LanguageModel(tiny_decoder, CPU, FLOAT32, 2).decoder, PlainDecoder)


def test_an_adapter_changes_nothing_at_first_and_keeps_the_names_of_the_projection() -> None:
    """What it adds begins at 0."""
    projection = torch.nn.Linear(6, 5)
    adapted = AdaptedLinear(projection, rank=2)
    rows = torch.randn(3, 6)
    assert torch.equal(adapted(rows), projection(rows))
    assert {"weight", "bias"} < set(adapted.state_dict())
    assert adapted.weight is projection.weight


def test_a_checkpoint_without_adapters_is_left_alone(tiny_encoder: Path) -> None:
    """Most have none."""
    model = AutoModel.from_pretrained(tiny_encoder)
    apply_adapters(model, tiny_encoder)
    assert not has_adapters(model)


@pytest.mark.parametrize(
    ("place", "rows", "reason"),
    [
        ("encoder.layer.9.output.dense", 32, "9"),
        ("encoder.layer.1.output.LayerNorm", 32, "is a LayerNorm, expected a Linear"),
        ("encoder.layer.1.output.dense", 31, r"is \(4, 31\), expected \(4, 32\)"),
        ("", 0, "does not fit the model beside it"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(
    tiny_encoder: Path, tmp_path: Path, place: str, rows: int, reason: str
) -> None:
    """Places that are not there, no projections, other widths, and a damaged file."""
    content = {
        f"{place}.down.weight": torch.zeros(4, rows),
        f"{place}.down.bias": torch.zeros(4),
        f"{place}.up.weight": torch.zeros(32, 4),
        f"{place}.up.bias": torch.zeros(32),
    }
    path = tmp_path / "bottleneck.safetensors"
    if place:
        save_file(content, path)
    else:
        path.write_bytes(b"no tensors")
    with pytest.raises(CheckpointRefused, match=reason):
        apply_adapters(AutoModel.from_pretrained(tiny_encoder), tmp_path)
