"""De-quantises a GGUF file to bfloat16 safetensors: `python -m coterie.agents.gguf_conversion SOURCE.gguf FOLDER`.

Run as a process of its own, so that it can be killed and its memory goes back. transformers reads the file.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

END_OF_TURN = "<|im_end|>"


def convert(source: Path, folder: Path) -> None:
    """Writes config.json, model.safetensors and the tokenizer with its chat template into `folder`.

    Raises:
        ValueError: the file's tokenizer has no chat template, or no end-of-turn token that the template uses.
    """
    torch.set_num_threads(min(2, torch.get_num_threads()))
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, local_files_only=True)
    template = tokenizer.chat_template
    if not template:
        raise ValueError(f"{source.name} has no chat template, so no conversation can be put to it")
    if END_OF_TURN in template and tokenizer.eos_token != END_OF_TURN:
        raise ValueError(f"{source.name} ends a text with {tokenizer.eos_token!r}, but its turns with {END_OF_TURN!r}")
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.bfloat16, local_files_only=True
    )
    setattr(model, "hf_quantizer", None)  # noqa: B010 -- no attribute that its types know; else it refuses to be saved, as if it were still quantised
    if hasattr(model.config, "quantization_config"):
        delattr(model.config, "quantization_config")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
