"""Trackers: a line for each thing said, curves for TensorBoard, and a run of W&B that never leaves the machine."""

import json
from pathlib import Path

import pytest

from coterie.tuning.progress import Progress
from coterie.tuning.tracking import tracked

SAID = (
    Progress(step=0, total=2, epoch=0, rate=0.1, seconds=0.5, validation=3.0, best=3.0),
    Progress(step=1, total=2, epoch=0.5, rate=0.1, seconds=1, loss=2.0, units_per_second=4, tokens_per_second=40),
    Progress(step=1, total=2, epoch=0.5, rate=0.1, seconds=1, notice="Out of memory: smaller parts."),
    Progress(step=2, total=2, epoch=1, rate=0.05, seconds=2, validation=1.5, best=1.5, loss=2.0),
)


def test_every_thing_said_is_a_line_and_a_second_training_goes_on(tmp_path: Path) -> None:
    """With what was said and nothing else."""
    also: list[Progress] = []
    for said in (SAID[:2], SAID[2:]):
        with tracked(tmp_path, also=also.append) as listen:
            for one in said:
                listen(one)
    lines = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 0, "total": 2, "seconds": 0.5, "validation": 3.0, "best": 3.0},
        {"step": 1, "total": 2, "seconds": 1, "loss": 2.0, "rate": 0.1, "tokens_per_second": 40, "units_per_second": 4},
        {"step": 1, "total": 2, "seconds": 1, "notice": "Out of memory: smaller parts."},
        {"step": 2, "total": 2, "seconds": 2, "validation": 1.5, "best": 1.5},
    ]
    assert also == list(SAID)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.timeout(180)
def test_tensorboard_gets_curves(tmp_path: Path) -> None:
    """Read back by its own reader."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with tracked(tmp_path, ("tensorboard",), {"method": "lora"}) as listen:
        for one in SAID:
            listen(one)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("validation")] == [(0, 3.0), (2, 1.5)]
    assert [(one.step, one.value) for one in events.Scalars("loss")] == [(1, 2.0)]
    assert (tmp_path / "progress.jsonl").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.timeout(180)
def test_wandb_keeps_a_run_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the folder, to be sent by hand or never."""
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_SILENT", "true")
    with tracked(tmp_path, ("wandb",), {"method": "lora"}) as listen:
        for one in SAID:
            listen(one)
    runs = list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert len(runs) == 1
    assert runs[0].stat().st_size > 0
