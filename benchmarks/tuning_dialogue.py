"""How much a dialogue manager learns from a few hundred tutoring dialogues: MathDial's teachers and their moves.

    python benchmarks/tuning_dialogue.py DATA/mathdial --recipe balanced --epochs 3 --seeds 3
    python benchmarks/tuning_dialogue.py DATA/mathdial --recipe fast --limit 16 --seeds 1     # a trial

The folder holds train.jsonl, val.jsonl and test.jsonl. Each dialogue is one conversation: the teacher's turns are
learned, as a dialogue manager with the fields `move` and `text` would write them. Measured on the test dialogues, which
nothing else sees, before and after tuning, in the checkpoint that would be served:

- loss: nats a supervised token, over whole replies, and over the tokens of the teacher's own words alone, so that what
  is gained by knowing the form of a reply does not count;
- moves: how often the likeliest of the four moves is the teacher's next one, the form of the reply being given.

Intervals are of a paired bootstrap over dialogues, 95 %. Runs on the CPU or a GPU unchanged.
"""

import json
import math
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as functional
import typer

from coterie.agents.checkpoints import locate
from coterie.agents.inference import ChatTurn
from coterie.agents.jsonlines import BadLine, read_objects
from coterie.agents.messages import Message
from coterie.agents.reply_text import write_reply
from coterie.agents.tokens import context_length, load_tokenizer, quiet_transformers
from coterie.tuning.datasets import Dataset
from coterie.tuning.dialogue import dialogue_recipe, load_for_training, tune_dialogue
from coterie.tuning.intervals import Difference, paired_bootstrap
from coterie.tuning.processes import make_accelerator
from coterie.tuning.progress import Progress
from coterie.tuning.recipes import Recipe
from coterie.tuning.rows import DialogueRow, Source, Split
from coterie.tuning.supervision import RoleMask, SupervisedTokens
from coterie.tuning.token_batches import Example, packed_batches, token_batch
from coterie.tuning.token_scores import token_logits

BASE = "smollm2-135m"
MOVES = ("generic", "focus", "probing", "telling")
OPENING = '{"move":"'  # of every reply
MEASURED_AT_ONCE = 2_048  # tokens, whose logits are held in memory
INSTRUCTIONS = (
    "You are a teacher. Guide the student to find the mistake without giving the solution away. Answer in JSON with "
    "your move (generic: small talk or praise; focus: narrow down to the mistake; probing: ask to explain or to think "
    "further; telling: reveal a step) and your text."
)


class Taught(Message):
    """What a teacher says, and with which move."""

    move: Literal["generic", "focus", "probing", "telling"]
    text: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """A test dialogue, and what its S supervised tokens are."""

    replies: SupervisedTokens
    words: np.ndarray  # (S) boolean: of the teacher's own texts
    moves: np.ndarray  # (S) boolean: the first token of a move, which tells it from the others


@dataclass(frozen=True, slots=True)
class Measured:
    """Of D test dialogues, each array (D)."""

    replies: np.ndarray  # summed nats
    reply_tokens: np.ndarray
    words: np.ndarray  # summed nats
    word_tokens: np.ndarray
    right: np.ndarray  # moves that were told
    moves: np.ndarray  # that there are

    @property
    def summary(self) -> dict[str, float]:
        return {
            "loss_per_supervised_token": float(self.replies.sum() / self.reply_tokens.sum()),
            "loss_per_word_token": float(self.words.sum() / self.word_tokens.sum()),
            "perplexity_of_words": math.exp(self.words.sum() / self.word_tokens.sum()),
            "move_accuracy": float(self.right.sum() / self.moves.sum()),
        }


def main(
    data: Annotated[Path, typer.Argument(help="Folder with train.jsonl, val.jsonl and test.jsonl of MathDial.")],
    recipe: Annotated[Literal["fast", "balanced", "best"], typer.Option(help="Which preset is tuned with.")] = "fast",
    method: Annotated[str | None, typer.Option(help="Another method than the preset's.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Times that each dialogue is seen.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At its peak.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens of a batch.")] = None,
    seeds: Annotated[int, typer.Option(help="Trainings, each with a seed of its own.")] = 1,
    limit: Annotated[int | None, typer.Option(help="Dialogues of each part, at most.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; what is best here unless given.")] = None,
    base: Annotated[str, typer.Option(help="The language model.")] = BASE,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the figures.")] = None,
) -> None:
    """Tunes on the train dialogues, chooses on the val ones, measures on the test ones."""
    quiet_transformers()
    changes = {"epochs": epochs, "method": method, "learning_rate": learning_rate, "batch_tokens": batch_tokens}
    settings = dialogue_recipe(recipe, **{name: value for name, value in changes.items() if value is not None})
    dataset = read_dataset(data, limit)
    lessons = read_lessons(read_rows(data / "test.jsonl", "gate", limit), locate(base))
    accelerator = make_accelerator(settings, device)
    before = measure(locate(base), lessons, accelerator)
    print(f"untuned: {shown(before.summary)}")
    runs = [tuned_run(dataset, base, replace_seed(settings, seed), device, lessons, before) for seed in range(seeds)]
    figures = {
        "base": base,
        "device": str(accelerator.device),
        "machine": torch.cuda.get_device_name() if accelerator.device.type == "cuda" else "cpu",
        "precision": accelerator.mixed_precision,
        "recipe": settings.model_dump(mode="json"),
        "rows": {"train": len(dataset.part("train")), "val": len(dataset.part("validation")), "test": len(lessons)},
        "majority_move_accuracy": majority(data, limit),
        "untuned": before.summary,
        "runs": runs,
        "peak_megabytes": round(peak_megabytes()),
    }
    print(f"most frequent move of train: {figures['majority_move_accuracy']:.3f} of test moves")
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def replace_seed(settings: Recipe, seed: int) -> Recipe:
    return settings.model_copy(update={"seed": seed})


def tuned_run(
    dataset: Dataset[DialogueRow],
    base: str,
    settings: Recipe,
    device: str | None,
    lessons: Sequence[Lesson],
    before: Measured,
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        candidate = tune_dialogue(dataset, base, settings, Path(folder), listen=tell, device=device)
        seconds = time.perf_counter() - began
        after = measure(Path(folder) / "model", lessons, make_accelerator(settings, device))
    found = {
        "seed": settings.seed,
        "seconds": round(seconds, 1),
        "note": candidate.note,
        "tuned": after.summary,
        "loss_change": change(before.replies, after.replies, before.reply_tokens),
        "word_loss_change": change(before.words, after.words, before.word_tokens),
        "move_accuracy_change": str(paired_bootstrap(after.right / after.moves, before.right / before.moves)),
    }
    print(f"seed {settings.seed}, {seconds:,.0f} s: {shown(after.summary)}")
    print(f"  loss {found['loss_change']}, of words {found['word_loss_change']}")
    print(f"  moves, mean over dialogues: {found['move_accuracy_change']}")
    return found


def change(before: np.ndarray, after: np.ndarray, tokens: np.ndarray) -> str:
    """The change of the loss a token as a share, with its interval over resampled dialogues."""
    chance = np.random.default_rng(0)
    draws = chance.integers(len(tokens), size=(10_000, len(tokens)))
    shares = after[draws].sum(axis=1) / before[draws].sum(axis=1) - 1
    low, high = np.quantile(shares, (0.025, 0.975))
    return f"{Difference(float(after.sum() / before.sum() - 1), float(low), float(high))}"


def tell(progress: Progress) -> None:
    if progress.notice:
        print(progress.notice)
    elif progress.validation is not None:
        print(
            f"step {progress.step} of {progress.total}, {progress.seconds:,.0f} s: validation {progress.validation:.4f}"
        )


def shown(summary: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in summary.items())


def read_dataset(data: Path, limit: int | None) -> Dataset[DialogueRow]:
    rows = (*read_rows(data / "train.jsonl", "train", limit), *read_rows(data / "val.jsonl", "validation", limit))
    return Dataset("tutor/teacher", "dialogue", rows)


def read_rows(path: Path, split: Split, limit: int | None) -> tuple[DialogueRow, ...]:
    objects = [one for one in read_objects(path, needed=("id", "turns")) if not isinstance(one, BadLine)]
    return tuple(dialogue_row(one, split, f"{path.name}, dialogue {one['id']}") for one in objects[:limit])


def dialogue_row(dialogue: dict[str, Any], split: Split, where: str) -> DialogueRow:
    """The problem and the wrong solution as the student's first turn, then the turns in order, teachers' as replies."""
    turns = [ChatTurn("system", INSTRUCTIONS)]
    problem = f"Problem: {dialogue['question']}\nMy solution: {dialogue['student_solution']}"
    said = [("user", problem), *((speaker_of(turn), text_of(turn)) for turn in dialogue["turns"])]
    for speaker, text in said:
        if turns[-1].speaker == speaker:
            turns[-1] = replace(turns[-1], text=f"{turns[-1].text}\n{text}")
        else:
            turns.append(ChatTurn(speaker, text))
    marks = tuple(turn.speaker == "assistant" for turn in turns)
    return DialogueRow(str(dialogue["id"]), tuple(turns), marks, split, Source(where, str(dialogue["id"])))


def speaker_of(turn: dict[str, Any]) -> Literal["user", "assistant"]:
    return "assistant" if turn["speaker"] == "teacher" else "user"


def text_of(turn: dict[str, Any]) -> str:
    if turn["speaker"] != "teacher":
        return str(turn["text"])
    return write_reply(Taught, Taught(move=turn["move"], text=turn["text"]), ())


def majority(data: Path, limit: int | None) -> float:
    """How many test moves are the most frequent one of train."""
    train, test = (
        Counter(
            json.loads(turn.text.splitlines()[0])["move"]
            for row in read_rows(data / f"{part}.jsonl", "gate", limit)
            for turn in row.turns
            if turn.speaker == "assistant"
        )
        for part in ("train", "test")
    )
    return test[train.most_common(1)[0][0]] / test.total()


def read_lessons(rows: Sequence[DialogueRow], folder: Path) -> list[Lesson]:
    mask, tokenizer = RoleMask(folder), load_tokenizer(folder)
    opening = len(tokenizer.encode(OPENING, add_special_tokens=False))
    found = []
    for replies in mask.supervise(rows, context_length(folder)).sequences:
        words, moves = np.zeros(len(replies), np.bool_), np.zeros(len(replies), np.bool_)
        for begin, end in runs_of(replies.supervised):
            moves[begin + opening] = True
            pieces = [tokenizer.decode(token) for token in replies.tokens[begin:end]]
            text = "".join(pieces).find('"text":"') + len('"text":"')
            starts = np.cumsum([0, *map(len, pieces[:-1])])
            closing = sum(map(len, pieces[:-1])) - len('"}')
            words[begin:end] = (starts >= text) & (starts < closing)
        found.append(Lesson(replies, words[replies.supervised], moves[replies.supervised]))
    return found


def runs_of(supervised: np.ndarray) -> list[tuple[int, int]]:
    """Where runs of True begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], supervised.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def measure(folder: Path, lessons: Sequence[Lesson], accelerator: Any) -> Measured:
    """What the checkpoint in `folder` makes of the test dialogues."""
    model = load_for_training(folder).to(accelerator.device).eval()
    tokenizer = load_tokenizer(folder)
    first = torch.tensor([tokenizer.encode(move, add_special_tokens=False)[0] for move in MOVES]).to(model.device)
    figures = np.zeros((6, len(lessons)))
    examples = [Example((lesson.replies,)) for lesson in lessons]
    with torch.inference_mode(), accelerator.autocast():
        for numbers in packed_batches(examples, MEASURED_AT_ONCE, None)(0):
            batch = token_batch([examples[number] for number in numbers]).to(model.device)
            logits = token_logits(model, batch)  # (S, V)
            losses = functional.cross_entropy(logits, batch.targets, reduction="none").double().cpu().numpy()
            told = (first[logits[:, first].argmax(dim=-1)] == batch.targets).cpu().numpy()
            sequences = batch.sequences.cpu().numpy()
            for index, number in enumerate(numbers):
                ours, lesson = sequences == index, lessons[number]
                nats, right = losses[ours], told[ours][lesson.moves]
                words = nats[lesson.words]
                figures[:, number] = (nats.sum(), len(nats), words.sum(), len(words), right.sum(), len(right))
    return Measured(*figures)


def peak_megabytes() -> float:
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    typer.run(main)
