"""A scripted reviewer at a real desk corrects the finance desk's mood role on real headlines.

    python benchmarks/corrections.py DATA/headlines/train.jsonl

The file holds JSON lines with `text` and `score` (-1 to 1); a score above 0.1 counts as positive, below -0.1 as
negative. Every headline is a run that asks a person; the reviewer approves what is right and chooses the right label
where it is not. Then the training rows are read from the log: each correction must be there as a gold label of the mood
role and of no other. Prints a table and writes it to benchmarks/results/corrections.md and .json.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import anyio.to_thread

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from finance_desk import flow as desk_flow  # an example is found beside its program
from finance_flow import Mood, NewsLine

from coterie.agents.jsonlines import BadLine, read_objects
from coterie.orchestration import Flow, Node, Review, Run, Runtime, Workflow
from coterie.orchestration.review_answers import Approve, Choose
from coterie.orchestration.review_desk import ReviewDesk
from coterie.orchestration.training_items import TrainingRow

LIMIT = 200  # headlines
NEUTRAL = 0.1  # scores nearer to zero than this are neutral
ROLE = "finance/mood"
BY = "scripted"
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Corrections:
    """What came of it."""

    headlines: int
    approved: int
    corrected: int
    blind: int  # items that were decided before the proposal was shown
    gold_rows: int  # corrections that the log has as gold labels of the mood role, with before and after
    elsewhere: int  # gold labels on rows of any other role
    confusion: Mapping[str, int]  # "proposed -> right" -> how often
    deciding_seconds: float  # for all items: next, case, answer
    whole_seconds: float  # models, runs, desk and the runs' ends


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python benchmarks/corrections.py FILE  (JSON lines with `text` and `score`)")
    publish(anyio.run(corrections, read_headlines(Path(sys.argv[1]), LIMIT)))


def read_headlines(path: Path, limit: int) -> dict[str, str]:
    """The first `limit` different headlines, each with its right label; of two for one headline, the first counts."""
    found: dict[str, str] = {}
    for row in read_objects(path, needed=("text", "score")):
        if isinstance(row, BadLine):
            raise SystemExit(str(row))
        if len(found) < limit:
            found.setdefault(str(row["text"]), label_of(float(str(row["score"]))))
    return found


def label_of(score: float) -> str:
    """The mood that a score stands for."""
    return "positive" if score > NEUTRAL else "negative" if score < -NEUTRAL else "neutral"


def asking(mood: Node[NewsLine, Mood]) -> Flow[NewsLine, Mood]:
    """The mood role of the finance desk, with a person behind it."""
    person = Review[Mood, Mood]("moods")
    workflow = Workflow("moods", NewsLine, Mood)
    workflow.start(mood)
    workflow.edge(mood, person)
    workflow.end(person)
    return workflow.build()


async def corrections(right: Mapping[str, str]) -> Corrections:
    """Run every headline, decide about it, and read what its role can learn."""
    began = time.perf_counter()
    flow = asking(desk_flow.nodes["mood"])
    with tempfile.TemporaryDirectory(prefix="coterie-") as folder:
        place = Path(folder, "desk.db")
        async with Runtime(log=place) as runtime:
            runs = [await runtime.start(flow, NewsLine(text=text)) for text in right]
            for run in runs:
                await run.wait_settled()
            told = await anyio.to_thread.run_sync(decide, place, right)
            ends = await ended(runs)
            rows = await runtime.log.training_rows()
        if Counter(ends) != Counter(right.values()):
            raise SystemExit("a run went on with another label than the reviewer's")
    return summed(right, rows, told, time.perf_counter() - began)


def decide(place: Path, right: Mapping[str, str]) -> tuple[Counter[str], float]:
    """Every item that waits, at a desk as a person has it; the acts, and the seconds that they took."""
    told: Counter[str] = Counter()
    began = time.perf_counter()
    with ReviewDesk(place, BY) as desk:
        while (item := desk.next()) is not None:
            case = desk.case(item)
            wanted = right[str(case.lineage[-1].message.fields["text"])]
            told["blind"] += item.blind
            if item.proposal.fields["label"] == wanted:
                desk.answer(item, Approve(by=BY), seconds=5.0, blind=item.blind, first=wanted if item.blind else None)
                told["approved"] += 1
            else:
                answer = Choose(label=wanted, by=BY)
                desk.answer(item, answer, seconds=5.0, blind=item.blind, first=wanted if item.blind else None)
                told[f"{item.proposal.fields['label']} -> {wanted}"] += 1
    return told, time.perf_counter() - began


async def ended(runs: Sequence[Run[Mood]]) -> list[str]:
    return [(await run.result()).label for run in runs]


def summed(
    right: Mapping[str, str], rows: Sequence[TrainingRow], told: tuple[Counter[str], float], seconds: float
) -> Corrections:
    acts, deciding = told
    confusion = {name: count for name, count in acts.items() if "->" in name}
    gold = [row for row in rows if any(one.kind == "gold" for one in row.feedback)]
    kept = [row for row in gold if row.role == ROLE and is_kept(row, right)]
    return Corrections(
        headlines=len(right),
        approved=acts["approved"],
        corrected=sum(confusion.values()),
        blind=acts["blind"],
        gold_rows=len(kept),
        elsewhere=sum(row.role != ROLE for row in gold),
        confusion=dict(sorted(confusion.items())),
        deciding_seconds=round(deciding, 2),
        whole_seconds=round(seconds, 2),
    )


def is_kept(row: TrainingRow, right: Mapping[str, str]) -> bool:
    """Whether the row's gold label is the reviewer's, and what stood there before is the model's."""
    wanted = right[str(row.inputs[0].fields["text"])]
    last = row.feedback[-1]
    before = last.before is not None and last.before["label"] == row.output.fields["label"]
    corrected = row.correction
    return before and corrected is not None and corrected["label"] == wanted


def publish(found: Corrections) -> None:
    """Print and keep the table."""
    share = found.approved / found.headlines
    lines = [
        f"# Corrections: a scripted reviewer over {found.headlines} headlines",
        "",
        "| figure | value |",
        "|---|---|",
        f"| proposals of the untuned mood role that were right | {found.approved} ({share:.1%}) |",
        f"| corrected | {found.corrected} |",
        f"| corrections in the log as gold labels of `{ROLE}`, with before and after | {found.gold_rows} |",
        f"| gold labels on any other role | {found.elsewhere} |",
        f"| items shown blind | {found.blind} |",
        f"| seconds at the desk for all items (next, case, answer) | {found.deciding_seconds} |",
        f"| seconds for all: models, runs, desk, the runs' ends | {found.whole_seconds} |",
        "",
        "| proposed -> right | times |",
        "|---|---|",
        *(f"| {name} | {count} |" for name, count in found.confusion.items()),
    ]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    RESULTS.mkdir(exist_ok=True)
    RESULTS.joinpath("corrections.md").write_text(text, encoding="utf-8")
    RESULTS.joinpath("corrections.json").write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
    if found.gold_rows != found.corrected or found.elsewhere:
        raise SystemExit("a correction is missing from the training rows, or stands at another role")


if __name__ == "__main__":
    main()
