"""Converting a GGUF file, here a tiny one written for the test, to safetensors and a tokenizer with its template."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, quants
from safetensors.torch import load_file, safe_open
from transformers import AutoTokenizer

from coterie.agents.checkpoints import check_folder
from coterie.agents.gguf_conversion import convert

WIDTH, INNER, HEADS = 64, 128, 4
TEMPLATE = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' }}{% endfor %}"


def write_gguf(path: Path, tokenizer: Path, template: str | None, end: str) -> np.ndarray:
    """A one-layer Llama in Q4_1 with the tokenizer of a folder; gives one of its matrices, de-quantised."""
    stored = json.loads((tokenizer / "tokenizer.json").read_text())
    tokens = {**stored["model"]["vocab"], **{one["content"]: one["id"] for one in stored["added_tokens"]}}
    special = {one["content"] for one in stored["added_tokens"]}
    writer = GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(tokens, key=lambda token: tokens[token]))
    writer.add_token_types([3 if token in special else 1 for token in sorted(tokens, key=lambda one: tokens[one])])
    writer.add_token_merges([" ".join(pair) for pair in stored["model"]["merges"]])
    writer.add_bos_token_id(tokens["<|im_start|>"])
    writer.add_eos_token_id(tokens[end])
    if template is not None:
        writer.add_chat_template(template)
    random = np.random.default_rng(0)
    shapes = {"attn_q": WIDTH, "attn_k": WIDTH, "attn_v": WIDTH, "attn_output": WIDTH}
    matrices = {f"blk.0.{name}.weight": (rows, WIDTH) for name, rows in shapes.items()} | {
        "blk.0.ffn_gate.weight": (INNER, WIDTH),
        "blk.0.ffn_up.weight": (INNER, WIDTH),
        "blk.0.ffn_down.weight": (WIDTH, INNER),
        "token_embd.weight": (len(tokens), WIDTH),
    }
    kept = {}
    for name, shape in matrices.items():
        blocks = quants.quantize(random.normal(size=shape).astype(np.float32), GGMLQuantizationType.Q4_1)
        kept[name] = quants.dequantize(blocks, GGMLQuantizationType.Q4_1)
        writer.add_tensor(name, blocks, raw_dtype=GGMLQuantizationType.Q4_1)
    for name in ("blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"):
        writer.add_tensor(name, np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return kept["blk.0.ffn_down.weight"]


def test_a_gguf_file_becomes_a_checkpoint(tmp_path: Path, tiny_decoder: Path) -> None:
    """Weights are those of the file in bfloat16, the tokenizer ends a turn, and the folder is safe to load."""
    matrix = write_gguf(tmp_path / "tiny.gguf", tiny_decoder, TEMPLATE, "<|im_end|>")
    folder = tmp_path / "converted"
    convert(tmp_path / "tiny.gguf", folder)
    check_folder(folder)
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")["model.layers.0.mlp.down_proj.weight"]
    assert torch.equal(weights, torch.tensor(matrix).bfloat16())
    with safe_open(folder / "model.safetensors", "pt") as stored:
        assert {stored.get_slice(name).get_dtype() for name in stored.keys()} == {"BF16"}  # noqa: SIM118
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    turns = [{"role": "user", "content": "sales rose"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "<|im_start|>user\nsales rose<|im_end|>"
    ids = tokenizer("sales rose")["input_ids"]
    assert ids == AutoTokenizer.from_pretrained(tiny_decoder)("sales rose")["input_ids"]


@pytest.mark.parametrize(
    ("template", "end", "said"),
    [
        (None, "<|im_end|>", r"tiny\.gguf has no chat template"),
        (TEMPLATE, "<|endoftext|>", r"ends a text with '<\|endoftext\|>', but its turns with '<\|im_end\|>'"),
    ],
)
def test_a_gguf_file_that_cannot_converse_is_refused(
    tmp_path: Path, tiny_decoder: Path, template: str | None, end: str, said: str
) -> None:
    """Without a template, or where a reply would never end, nothing is converted."""
    write_gguf(tmp_path / "tiny.gguf", tiny_decoder, template, end)
    with pytest.raises(ValueError, match=said):
        convert(tmp_path / "tiny.gguf", tmp_path / "converted")
    assert not (tmp_path / "converted").exists()
