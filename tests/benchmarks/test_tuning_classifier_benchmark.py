"""The benchmark of classifiers runs from files to a table, on made data and a tiny encoder."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

PATH = Path(__file__).parents[2] / "benchmarks" / "tuning_classifier.py"
WORDS = {"bad": "fell lower weak", "good": "rose grew profit"}


@pytest.mark.parametrize("task", ["banking77", "headlines"])
def test_it_measures_what_was_tuned(tiny_encoder: Path, tmp_path: Path, task: str) -> None:
    """Every seed gives test measures with an interval, rows of each part, and what it took."""
    torch.set_num_threads(1)
    spec = spec_from_file_location("tuning_classifier_benchmark", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    folder = tmp_path / task
    folder.mkdir()
    for name, count in (("train", 60), ("test", 20)):
        lines = [
            {"text": f"{WORDS[label]} {number}", "label": label, "score": score, "company": "Acme"}
            for number in range(count)
            for label, score in (("bad", -0.5 - number / 200), ("good", 0.5 + number / 200))
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out.json"
    module.main(
        tmp_path, task, set_=["batch_tokens=256"], seeds="0,1", held_out=20, base=str(tiny_encoder), device="cpu",
        out=out, recipe="fast", sweep=None, shots=0, limit=0, climb=False,
    )  # fmt: skip
    results = json.loads(out.read_text())
    assert [result["seed"] for result in results] == [0, 1]
    assert results[0]["rows"]["gate"] == 40
    first = "cosine" if task == "headlines" else "accuracy"
    assert min(result["measures"][first] for result in results) > 0.9
    assert results[0]["rungs"][0]["name"] == "closed-form"
    assert results[0]["interval"].startswith(f"{results[0]['measures'][first]:.4f} [")
