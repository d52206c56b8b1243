"""The commands over a log: what they list, show, check, export, forget and go on with, and how they end."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from coterie.cli import app
from coterie.cli.exits import Exit

FLOWS = """
import os, signal
from coterie.agents import Context, Message
from coterie.agents.messages import Origin
from coterie.orchestration import Review, Workflow, node

class Question(Message):
    text: str

class Answer(Message):
    text: str

@node
async def think(question: Question) -> Answer:
    return Answer(text=question.text.upper())

@node(effect="ask")
async def publish(answer: Answer, *, ctx: Context) -> Answer:
    if answer.text == "DIE" and "SURVIVE" not in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    if answer.text == "FAIL" and "SURVIVE" not in os.environ:
        raise OSError("no [bold]paper[/bold]\\x1b[31m left")
    return answer

def made(name, *, person=False):
    workflow = Workflow(name, Question, Answer)
    workflow.start(think)
    if person:
        desk = Review[Answer, Answer]("desk")
        workflow.edge(think, desk)
        workflow.edge(desk, publish)
    else:
        workflow.edge(think, publish)
    workflow.end(publish)
    return workflow

tries = []

@node(retries=1, backoff=0.001)
async def sketch(question: Question) -> Answer:
    tries.append(question)
    if len(tries) == 1:
        raise OSError("no ink")
    return Answer(text=question.text).made_by(Origin(role="desk/mood", weights="9a41c2d3e4f5" * 6))

def nested():
    workflow = Workflow("nested", Question, Answer)
    inner = Workflow("inner", Question, Answer)
    inner.start(sketch)
    inner.end(sketch)
    built = inner.build()
    workflow.start(built)
    workflow.edge(built, publish)
    workflow.end(publish)
    return workflow.build()

flow = made("printing").build()
deep = nested()
reviewed = made("reviewed", person=True).build()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with flows.py, in which commands find the log desk.db by themselves."""
    (tmp_path / "flows.py").write_text(FLOWS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COTERIE_LOG", "desk.db")
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def told(*arguments: str) -> Any:
    """What a command prints with `--json`."""
    done = call(*arguments, "--json")
    return json.loads(done.stdout)


def run(text: str, flow: str = "flow", **options: str) -> Result:
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    return call("run", f"flows.py:{flow}", "--input", json.dumps({"text": text}), "--auto", "--json", *given)


def killed(text: str) -> str:
    """A run whose process dies in the middle of its effect; its id."""
    given = ["run", "flows.py:flow", "--input", json.dumps({"text": text})]
    ended = subprocess.run([sys.executable, "-m", "coterie.cli", *given], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    return str(told("runs", "--state", "running")[0]["id"])


def test_help_teaches_every_command(place: Path) -> None:
    """Each with an example and the exit codes."""
    for command in ("runs", "show", "resume", "replay", "fork", "verify", "export", "dead"):
        shown = call(command, "--help")
        assert shown.exit_code == 0
        assert f"coterie {command}" in shown.output
        assert "Exit codes: 0 done" in " ".join(shown.output.split())


def test_runs_are_listed_and_filtered(place: Path) -> None:
    """By flow, state, thread, key and time, latest first."""
    run("a", thread="t [red]1[/red]\x1b[2J", key="k")
    run("b", flow="reviewed")
    run("fail")
    states = [(one["flow"], one["state"]) for one in told("runs")]
    assert states == [("printing", "failed"), ("reviewed", "waiting"), ("printing", "finished")]
    assert [one["state"] for one in told("runs", "--flow", "printing")] == ["failed", "finished"]
    assert [one["state"] for one in told("runs", "--state", "waiting")] == ["waiting"]
    assert [one["key"] for one in told("runs", "--key", "k")] == ["k"]
    assert len(told("runs", "--thread", "t [red]1[/red]\x1b[2J")) == 1
    assert told("runs", "--thread", "t' OR 1=1 --") == []
    assert len(told("runs", "--since", "1h")) == 3
    assert told("runs", "--until", "2020-01-31") == []
    assert len(told("runs", "--limit", "2")) == 2
    shown = call("runs")
    assert "\x1b[2J" not in shown.stdout
    assert "[red]1[/red]" in shown.stdout


def test_a_log_that_does_not_exist_is_not_made(place: Path) -> None:
    """It is an error that names the place."""
    refused = call("runs", "--log", "other.db")
    assert refused.exit_code == Exit.BAD_INPUT
    assert "there is no log 'other.db'" in refused.stderr
    assert not (place / "other.db").exists()


@pytest.mark.parametrize("wrong", [("--since", "soon"), ("--until", "31.1."), ("--state", "dead")])
def test_a_filter_that_makes_no_sense_is_wrong_usage(place: Path, wrong: tuple[str, str]) -> None:
    """With what to write instead."""
    run("a")
    assert call("runs", *wrong).exit_code == Exit.USAGE


def test_show_tells_what_happened(place: Path) -> None:
    """Answers, times, attempts and errors; by the beginning of the run's id, as text, JSON or a page."""
    run("fail")
    identity = told("runs")[0]["id"]
    shown = call("show", identity[:6])
    assert "answered" in shown.stdout
    assert 'Answer {"text": "FAIL"}' in shown.stdout
    assert "OSError: no [bold]paper[/bold]" in shown.stdout
    assert "\x1b[31m" not in shown.stdout
    kinds = [fact["kind"] for fact in told("show", identity)["facts"]]
    assert kinds[0] == "run-started"
    assert kinds[-1] == "run-failed"
    assert call("show", identity, "--html", "run.html").exit_code == Exit.USAGE
    assert call("show", identity, "--html", "run.html", "--flow", "flows.py:flow").exit_code == 0
    assert "<svg" in (place / "run.html").read_text()
    missing = call("show", "zzz")
    assert missing.exit_code == Exit.FAILED
    assert "no run 'zzz'" in missing.stderr


def test_an_effect_in_doubt_is_asked_about_and_settled(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never repeated unasked: either it happened, with an answer that fits, or it is done again."""
    identity = killed("die")
    monkeypatch.setenv("SURVIVE", "1")
    waits = call("resume", "--flow", "flows.py:flow")
    assert waits.exit_code == Exit.WAITING
    assert f"nobody knows if publish happened (key {identity}/publish)" in waits.stdout
    wrong = call("resume", identity, "--flow", "flows.py:flow", "--happened", 'publish={"words": 1}')
    assert wrong.exit_code == Exit.BAD_INPUT
    assert "this is no Answer" in wrong.stderr
    both = call("resume", identity, "--flow", "flows.py:flow", "--happened", "publish=null", "--again", "publish")
    assert both.exit_code == Exit.USAGE
    done = told("resume", identity, "--flow", "flows.py:flow", "--happened", 'publish={"text": "on paper"}')
    assert done == [{"run": identity, "tasks": 2, "state": "finished", "result": {"text": "on paper"}}]
    other = killed("die") if "SURVIVE" not in os.environ else ""
    assert other == ""


def test_an_effect_that_did_not_happen_is_done_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody who knows says so."""
    identity = killed("die")
    monkeypatch.setenv("SURVIVE", "1")
    done = told("resume", identity, "--flow", "flows.py:flow", "--again", "publish")
    assert (done[0]["state"], done[0]["result"]) == ("finished", {"text": "DIE"})


def test_resume_refuses_a_flow_that_has_changed(place: Path) -> None:
    """With the list of what is gone."""
    run("b", flow="reviewed")
    text = FLOWS.replace('("desk")', '("bureau")')
    (place / "flows.py").write_text(text, encoding="utf-8")
    refused = call("resume", "--flow", "flows.py:reviewed")
    assert refused.exit_code == Exit.FAILED
    assert "node 'desk' is gone" in refused.stdout


def test_a_failed_run_is_dead_until_it_is_retried(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is listed with its cause, and put back to work."""
    run("fail")
    run("a")
    dead = told("dead")
    assert [(one["task"], one["error"], one["attempts"]) for one in dead] == [("publish", "OSError", 1)]
    assert "OSError: no [bold]paper" in call("dead").stdout
    assert told("dead", "--limit", "1") == dead  # of the failed ones, not of all
    assert told("dead", "--flow", "reviewed") == []
    monkeypatch.setenv("SURVIVE", "1")
    done = told("dead", "retry", dead[0]["run"]["id"], "--flow", "flows.py:flow")
    assert done[0]["result"] == {"text": "FAIL"}
    assert told("dead") == []


def test_replay_reads_and_fork_runs_again(place: Path) -> None:
    """A replay calls nothing; a fork does one node anew, with another message, as a run of its own."""
    run("a")
    identity = told("runs")[0]["id"]
    replayed = told("replay", identity, "--flow", "flows.py:flow")
    assert (replayed["divergences"], replayed["result"]) == ([], {"text": "A"})
    forked = told("fork", identity, "--flow", "flows.py:flow", "--before", "publish", "--message", '{"text": "z"}')
    assert forked[0]["result"] == {"text": "z"}
    assert (forked[0]["forked_from"], forked[0]["reused"]) == (identity, 1)
    assert told("runs")[0]["forked_from"] == identity
    assert f"forked from {identity}, before publish" in call("show", forked[0]["run"]).stdout
    wrong = call("fork", identity, "--flow", "flows.py:flow", "--before", "nowhere")
    assert wrong.exit_code == Exit.FAILED
    assert "it has no task 'nowhere'" in wrong.stderr
    wrong = call("fork", identity, "--flow", "flows.py:flow", "--before", "publish", "--message", '{"words": 1}')
    assert wrong.exit_code == Exit.BAD_INPUT
    assert "--message: this is no Answer" in wrong.stderr
    wrong = call("fork", identity, "--flow", "flows.py:flow", "--before", "think", "--release", "mood=9a")
    assert wrong.exit_code == Exit.BAD_INPUT
    assert "the flow has no role 'mood'" in wrong.stderr
    shown = call("fork", identity, "--flow", "flows.py:flow", "--before", "publish")
    assert f"forked from {identity}, before publish: 1 task taken over" in shown.stdout


def test_verify_names_the_first_bad_row(place: Path) -> None:
    """And ends with 1; a sound log is counted."""
    run("a")
    assert told("verify")["sound"] is True
    assert "sound: 1 runs, 7 facts" in call("verify").stdout
    with closing(sqlite3.connect("desk.db")) as connection:
        connection.execute("UPDATE facts SET at = 0 WHERE seq = 3")
        connection.commit()
    bad = call("verify")
    assert bad.exit_code == Exit.FAILED
    assert "fact 3: its content does not fit its hash" in bad.stdout


def test_export_writes_every_fact_as_a_line(place: Path) -> None:
    """To a file or to standard output, filtered as runs are."""
    run("a")
    run("b", flow="reviewed")
    assert call("export", "--jsonl", "facts.jsonl", "--flow", "printing").exit_code == 0
    rows = [json.loads(line) for line in (place / "facts.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows][:2] == ["run-started", "task-started"]
    assert rows[0]["fields"]["message"]["fields"] == {"text": "a"}
    piped = call("export", "--jsonl", "-")
    assert len(piped.stdout.splitlines()) == len(rows) + 5
    assert call("export", "--jsonl", "no/such/folder").exit_code == Exit.FAILED


def test_prune_forgets_ended_runs_and_keeps_the_log_sound(place: Path) -> None:
    """Runs that wait stay; what was forgotten is told apart from what was stolen."""
    run("a")
    run("b", flow="reviewed")
    assert told("runs", "prune", "--older", "0s", "--dry-run")["runs"] == 1
    assert len(told("runs")) == 2
    assert told("runs", "prune", "--older", "0s")["runs"] == 1
    assert [one["flow"] for one in told("runs")] == ["reviewed"]
    assert call("runs", "vacuum").exit_code == 0
    assert told("verify")["sound"] is True
    assert call("runs", "prune", "--older", "long").exit_code == Exit.USAGE


def test_the_same_key_is_the_same_run(place: Path) -> None:
    """Also from another process: nothing is done twice."""
    first, second = run("a", key="mail-1"), run("a", key="mail-1")
    assert first.stdout == second.stdout
    assert len(told("runs")) == 1


def test_ids_and_states_are_whole_in_80_columns(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are cut instead, and no line is longer."""
    monkeypatch.setenv("COLUMNS", "80")
    run("a", thread="\u202e[link=x]" + "long " * 40)
    run("b", flow="reviewed")
    run("fail")
    shown = [call("runs").stdout, call("dead").stdout]
    for listed in told("runs"):
        assert listed["id"] in shown[0]
        assert listed["state"] in shown[0]
        shown.append(call("show", listed["id"]).stdout)
    assert "\u202e" not in "".join(shown)
    assert max(len(line) for line in "".join(shown).splitlines() if not line.startswith("thread")) <= 80


def test_show_names_weights_retries_and_what_a_fork_began_with(place: Path) -> None:
    """The first 12 characters of a digest, the number of the try, and the task in a flow within the flow."""
    run("a", flow="deep")
    identity = told("runs")[0]["id"]
    shown = " ".join(call("show", identity).stdout.split())
    assert re.search(r"inner/sketch failed \d+\.\d\d s again in", shown)
    assert "s; OSError: no ink" in shown
    assert "answered, try 2" in shown
    assert 'desk/mood 9a41c2d3e4f5: Answer {"text": "a"}' in shown
    given = ("--before", "inner/sketch", "--message", '{"text": "other"}')
    forked = told("fork", identity, "--flow", "flows.py:deep", *given)
    assert (forked[0]["result"], forked[0]["reused"]) == ({"text": "other"}, 0)
    started = told("show", forked[0]["run"])["facts"][0]["at"]
    assert started > told("show", identity)["updated"]


def test_an_id_may_be_shortened_while_it_is_the_only_one(place: Path) -> None:
    """Else those that it could be are named."""
    for _ in range(17):  # more than there are hexadecimal digits
        run("a")
    ids = [one["id"] for one in told("runs")]
    first = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    refused = call("show", first)
    assert refused.exit_code == Exit.FAILED
    assert f"the ids of several runs begin with {first!r}" in refused.stderr
    assert told("show", ids[0])["id"] == ids[0]


def test_a_page_is_of_the_run_s_own_flow(place: Path) -> None:
    """And where it cannot be written, that is said."""
    run("a")
    identity = told("runs")[0]["id"]
    other = call("show", identity, "--html", "run.html", "--flow", "flows.py:reviewed")
    assert other.exit_code == Exit.BAD_INPUT
    assert "is one of flow 'printing'" in other.stderr
    nowhere = call("show", identity, "--html", "no/run.html", "--flow", "flows.py:flow")
    assert nowhere.exit_code == Exit.FAILED
    assert "cannot write 'no/run.html'" in nowhere.stderr


def test_a_subcommand_uses_the_log_that_was_named_last(place: Path) -> None:
    """An option beats the environment, and a filter before `prune` is refused instead of being passed over."""
    run("a")
    missing = call("runs", "--log", "other.db", "prune", "--older", "0s")
    assert missing.exit_code == Exit.BAD_INPUT
    assert "there is no log 'other.db'" in missing.stderr
    refused = call("runs", "--flow", "reviewed", "prune", "--older", "0s")
    assert refused.exit_code == Exit.USAGE
    assert "--flow stands before 'prune'" in refused.stderr
    assert len(told("runs")) == 1
    assert told("runs", "prune", "--older", "0s", "--log", "desk.db", "--dry-run")["runs"] == 1


def test_export_harms_no_file_and_no_terminal(place: Path) -> None:
    """An earlier export stays where there is no log; what is printed is plain ASCII; a full disk is not the log's."""
    (place / "facts.jsonl").write_text("precious")
    assert call("export", "--jsonl", "facts.jsonl", "--log", "other.db").exit_code == Exit.BAD_INPUT
    assert (place / "facts.jsonl").read_text() == "precious"
    run("\u202e\x9b2J\x1b[31m", thread="\u202e\x9b2J")
    piped = call("export", "--jsonl", "-").stdout
    assert piped.isascii()
    assert "\x1b" not in piped
    assert json.loads(piped.splitlines()[0])["fields"]["thread"] == "\u202e\x9b2J"
    if Path("/dev/full").exists():
        full = call("export", "--jsonl", "/dev/full")
        assert full.exit_code == Exit.FAILED
        assert full.stderr.strip() == "cannot write '/dev/full': No space left on device"


def test_a_reader_that_has_had_enough_is_no_error(place: Path) -> None:
    """As `head` has, of more than a pipe holds."""
    run("long " * 40_000)
    command = [sys.executable, "-m", "coterie.cli", "export", "--jsonl", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as exporting:
        assert exporting.stdout is not None
        assert exporting.stdout.read(6) == '{"run"'
        exporting.stdout.close()
        assert exporting.stderr is not None
        assert exporting.stderr.read() == ""
    assert exporting.returncode == Exit.DONE


def test_the_same_key_over_an_effect_in_doubt_waits_for_a_person(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends and says what is asked; it neither hangs nor repeats the effect."""
    given = ["run", "flows.py:flow", "--input", '{"text": "die"}', "--key", "k"]
    subprocess.run([sys.executable, "-m", "coterie.cli", *given], capture_output=True, check=False)
    monkeypatch.setenv("SURVIVE", "1")
    for _ in range(2):
        waits = call(*given, "--json")
        assert waits.exit_code == Exit.WAITING
        assert [one["task"] for one in json.loads(waits.stdout)["unknown"]] == ["publish"]
    assert [(one["state"], one["asked"]) for one in told("runs")] == [("waiting", 1)]
    assert "or --again publish" in call(*given).stdout


def test_a_key_needs_a_log(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one it would promise what it cannot keep."""
    monkeypatch.delenv("COTERIE_LOG")
    refused = run("a", key="k")
    assert refused.exit_code == Exit.USAGE
    assert "--key finds a run again in a log" in refused.stderr


def test_a_file_that_is_no_log_is_refused(place: Path) -> None:
    """By every command that reads, in a sentence."""
    (place / "desk.db").write_text("hello")
    for command in (["runs"], ["show", "a"], ["dead"], ["verify"], ["export", "--jsonl", "-"]):
        refused = call(*command)
        assert refused.exit_code == Exit.FAILED
        assert refused.stderr.strip() == "the log desk.db cannot be used: file is not a database"
