"""`coterie tune`, `evaluate`, `promote`, `rollback`: from files of labelled rows to a role that answers better."""

import json
import random
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest
from typer.testing import CliRunner

from coterie.agents.releases import live_digest
from coterie.cli import app

ROLE = "bank/intent"
WORDS = {"card": ("price", "share", "board"), "loan": ("profit", "sales", "costs")}


@pytest.fixture(autouse=True)
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A COTERIE_HOME of this test's own, and no log named elsewhere."""
    monkeypatch.setenv("COTERIE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("COTERIE_LOG", raising=False)


def labelled(path: Path, count: int, seed: int, extra: tuple[str, ...] = ()) -> str:
    """A file of lines whose words tell the label."""
    chance = random.Random(seed)
    lines = []
    for _ in range(count):
        label = chance.choice(sorted(WORDS))
        words = [*chance.sample(WORDS[label], 2), *("".join(chance.choices(ascii_lowercase, k=4)) for _ in range(3))]
        chance.shuffle(words)
        lines.append(json.dumps({"text": " ".join(words), "label": label}))
    path.write_text("\n".join([*lines, *extra]) + "\n", encoding="utf-8")
    return str(path)


def told(*arguments: str, code: int = 0) -> Any:
    """What the command says as JSON."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_role_is_tuned_judged_promoted_evaluated_and_rolled_back(tmp_path: Path, tiny_encoder: Path) -> None:
    """Everything that a user does with labelled files, in order."""
    train = labelled(tmp_path / "train.jsonl", 300, seed=0)
    test = labelled(tmp_path / "test.jsonl", 150, seed=1)
    rows = ("--data", train, "--test", test, "--base", str(tiny_encoder))
    kept = told("tune", ROLE, *rows, "--keep", "--html", str(tmp_path / "tuning.html"))
    written = (tmp_path / "tuning.html").read_text(encoding="utf-8")
    assert written.startswith("<!DOCTYPE html>")
    assert all(word in written for word in (kept["candidate"][:12], "promote", "accuracy", "data:image/png"))
    assert (kept["verdict"], kept["promoted"], live_digest(ROLE)) == ("promote", False, "")
    assert kept["after"] > kept["before"]
    assert kept["card"]["data"]["parts"]["gate"] == 150
    assert told("promote", ROLE, kept["candidate"][:12]) == {"role": ROLE, "digest": kept["candidate"]}
    assert live_digest(ROLE) == kept["candidate"]
    found = told("evaluate", ROLE, "--data", test, "--base", str(tiny_encoder))
    assert (found["release"], found["rows"]) == (kept["candidate"], 150)
    assert found["value"] == pytest.approx(kept["after"])
    assert found["low"] <= found["value"] <= found["high"]
    untuned = told("evaluate", ROLE, "--data", test, "--base", str(tiny_encoder), "--release", "untuned")
    assert untuned["value"] == pytest.approx(kept["before"])
    assert told("rollback", ROLE) == {"role": ROLE, "digest": None}
    assert live_digest(ROLE) == ""


def test_a_dry_run_shows_the_rows_and_an_estimate_and_trains_nothing(tmp_path: Path, tiny_encoder: Path) -> None:
    """Counts by part, labels, and about how long it will take; nothing is stored."""
    train = labelled(tmp_path / "train.jsonl", 120, seed=0)
    arguments = ["tune", ROLE, "--data", train, "--base", str(tiny_encoder), "--dry-run"]
    card = told(*arguments)
    assert sum(card["data"]["parts"].values()) == 120
    assert card["estimate"]["seconds"] > 0
    assert card["recipe"]["method"] == "closed-form"
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0
    assert "2 labels of label" in shown.stdout
    assert live_digest(ROLE) == ""


def test_bad_lines_are_named_and_end_with_exit_code_3(tmp_path: Path, tiny_encoder: Path) -> None:
    """The rest is used all the same."""
    train = labelled(tmp_path / "train.jsonl", 120, seed=0, extra=('{"text": "no label"}', "{not json"))
    result = CliRunner().invoke(app, ["tune", ROLE, "--data", train, "--base", str(tiny_encoder), "--dry-run"])
    assert result.exit_code == 3
    assert "train.jsonl, line 121: no value in 'label'" in result.output
    assert "train.jsonl, line 122: this is no JSON" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((ROLE,), 2, "there is nothing to learn from; give --data FILE, or --log LOG with --flow MODULE:FLOW"),
        ((ROLE, "--data", "x.jsonl", "--recipe", "slow"), 2, "--recipe 'slow' is neither fast, balanced, best"),
        ((ROLE, "--data", "gone.jsonl"), 1, "cannot read 'gone.jsonl': there is no such file"),
        ((ROLE, "--log", "desk.db"), 2, "--log needs --flow MODULE:FLOW"),
        (("../x", "--data", "x.jsonl"), 1, "'../x' is no name of a role"),
        (("--data", "x.jsonl", "--budget", "soon"), 2, "--budget 'soon' is no length of time"),
    ],
)
def test_wrong_usage_is_a_sentence(arguments: tuple[str, ...], code: int, sentence: str) -> None:
    """What was given, and what to give instead."""
    result = CliRunner().invoke(app, ["tune", *arguments])
    assert result.exit_code == code
    assert sentence in " ".join(result.output.split())


def test_promoting_and_going_back_need_something_to_go_to() -> None:
    """What there is, is said."""
    result = CliRunner().invoke(app, ["promote", ROLE, "abc"])
    assert result.exit_code == 1
    assert "'bank/intent' has 0 releases 'abc'; it has: none" in " ".join(result.output.split())
    result = CliRunner().invoke(app, ["rollback", ROLE])
    assert result.exit_code == 1
    assert "has no live release to go back from" in " ".join(result.output.split())
