"""The `coterie` command: what it prints, how it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coterie.cli import app
from coterie.cli.exits import Exit

FLOWS = """
from coterie.agents import Message
from coterie.orchestration import Review, Workflow, node
import anyio

class Question(Message):
    text: str
    times: int = 1

class Answer(Message):
    text: str

@node
async def shout(question: Question) -> Answer:
    if question.text == "fail":
        raise OSError("the disk is gone")
    if question.text == "sleep":
        await anyio.sleep(60)
    return Answer(text=question.text.upper() * question.times)

def made(name, *, person=False):
    workflow = Workflow(name, Question, Answer)
    workflow.start(shout)
    if person:
        desk = Review[Answer, Answer]("desk")
        workflow.edge(shout, desk)
        workflow.end(desk)
    else:
        workflow.end(shout)
    return workflow

flow = made("shouting").build()
reviewed = made("reviewed", person=True).build()
unbuilt = made("unbuilt")
faulty = Workflow("faulty", Question, Answer)
other = 3
"""


@pytest.fixture
def flows(tmp_path: Path) -> str:
    """A file with flows of every kind."""
    path = tmp_path / "flows.py"
    path.write_text(FLOWS, encoding="utf-8")
    return str(path)


def call(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=given)


def test_help_teaches_every_command() -> None:
    """Each with an example and the exit codes."""
    for command in ("run", "graph", "models", "doctor"):
        shown = call(command, "--help")
        assert shown.exit_code == 0
        assert f"coterie {command}" in shown.output
        assert "Exit codes: 0 done" in " ".join(shown.output.split())


@pytest.mark.parametrize("given", ['{"text": "hi", "times": 2}', "@input.json", "-"])
def test_run_takes_json_a_file_or_standard_input(flows: str, tmp_path: Path, given: str) -> None:
    """And prints only the result with `--json`."""
    text = '{"text": "hi", "times": 2}'
    (tmp_path / "input.json").write_text(text)
    given = given.replace("@", f"@{tmp_path}/")
    done = call("run", f"{flows}:flow", "--input", given, "--json", given=text)
    assert (done.exit_code, json.loads(done.stdout)) == (Exit.DONE, {"text": "HIHI"})


def test_run_builds_a_workflow_that_was_not(flows: str) -> None:
    """MODULE:FLOW may name either."""
    assert json.loads(call("run", f"{flows}:unbuilt", "--input", '{"text": "hi"}', "--json").stdout) == {"text": "HI"}


def test_run_says_which_field_is_wrong(flows: str) -> None:
    """In plain words, with exit code 3."""
    done = call("run", f"{flows}:flow", "--input", '{"times": "x"}')
    assert done.exit_code == Exit.BAD_INPUT
    assert "this input is no Question:" in done.stderr
    assert "text: Field required" in done.stderr
    assert "times: Input should be a valid integer" in done.stderr


def test_run_says_why_a_flow_failed(flows: str) -> None:
    """The node and the reason, without a traceback."""
    done = call("run", f"{flows}:flow", "--input", '{"text": "fail"}')
    assert done.exit_code == Exit.FAILED
    assert "failed at node 'shout': OSError: the disk is gone" in done.stderr.replace("\n", "")


def test_run_leaves_a_review_waiting_where_nobody_sits(flows: str) -> None:
    """Exit code 4 and what waits."""
    done = call("run", f"{flows}:reviewed", "--input", '{"text": "hi"}', "--auto", "--json")
    assert done.exit_code == Exit.WAITING
    assert json.loads(done.stdout) == {"waiting": [{"task": "desk", "message": {"text": "HI"}}]}


def test_run_writes_the_page_of_the_run(flows: str, tmp_path: Path) -> None:
    """Also when it failed."""
    page = tmp_path / "run.html"
    call("run", f"{flows}:flow", "--input", '{"text": "fail"}', "--html", str(page))
    assert "the disk is gone" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nowhere", "'nowhere' names no flow; write MODULE:FLOW"),
        ("no_such_module:flow", "there is no module 'no_such_module'"),
        ("missing.py:flow", "there is no file 'missing.py'"),
        ("FLOWS:nothing", "has no 'nothing'; it has the flows flow, reviewed, unbuilt, faulty"),
        ("FLOWS:other", "is a int, not a flow"),
        ("FLOWS:faulty", "nothing starts the flow"),
    ],
)
def test_a_target_that_is_no_flow_is_told(flows: str, target: str, said: str) -> None:
    """What was named, what is there, what to do."""
    done = call("graph", target.replace("FLOWS", flows))
    assert done.exit_code == Exit.FAILED
    assert said in done.stderr.replace("\n", " ")


def test_graph_draws_in_every_form(flows: str, tmp_path: Path) -> None:
    """Tree, mermaid, JSON and page."""
    assert "shout" in call("graph", f"{flows}:flow").stdout
    assert call("graph", f"{flows}:flow", "--mermaid").stdout.startswith("flowchart LR")
    assert json.loads(call("graph", f"{flows}:flow", "--json").stdout)["name"] == "shouting"
    page = tmp_path / "flow.html"
    assert call("graph", f"{flows}:flow", "--html", str(page)).exit_code == Exit.DONE
    assert "<svg" in page.read_text(encoding="utf-8")


def test_graph_says_which_page_it_cannot_write(flows: str, tmp_path: Path) -> None:
    """In one sentence, without a traceback."""
    page = tmp_path / "nowhere" / "flow.html"
    done = call("graph", f"{flows}:flow", "--html", str(page))
    assert done.exit_code == Exit.FAILED
    assert done.stderr == f"cannot write {str(page)!r}: No such file or directory\n"


def test_models_lists_what_is_here() -> None:
    """In a home without anything: bases that can be fetched, no releases."""
    listed = json.loads(call("models", "--json").stdout)
    assert {base["name"]: base["on disk"] for base in listed["bases"]} == {"minilm-l6": False, "smollm2-135m": False}
    assert listed["releases"] == []
    assert "coterie models fetch" in call("models").stdout


def test_models_refuses_a_base_that_nobody_knows() -> None:
    """One sentence, exit code 1."""
    done = call("models", "fetch", "no-such-base")
    assert done.exit_code == Exit.FAILED
    assert "no-such-base" in done.stderr


def test_models_fetch_tells_what_is_there_as_json(tiny_encoder: Path) -> None:
    """The progress bar goes elsewhere, so that standard output is JSON alone."""
    done = call("models", "fetch", str(tiny_encoder), "--json")
    assert done.exit_code == Exit.DONE
    [fetched] = json.loads(done.stdout)
    assert fetched["name"] == fetched["folder"] == str(tiny_encoder)
    assert len(fetched["digest"]) == 64


def test_doctor_says_what_is_missing_and_what_mends_it() -> None:
    """Without base checkpoints it ends with 1 and names the command."""
    done = call("doctor")
    assert done.exit_code == Exit.FAILED
    assert "coterie models fetch minilm-l6" in done.stdout
    findings = {row["what"]: row for row in json.loads(call("doctor", "--json").stdout)}
    assert findings["torch"]["good"] is True
    assert findings["number types"]["found"].startswith("cpu: ")
    assert findings["base minilm-l6"]["mend"] == "coterie models fetch minilm-l6"


def test_an_interrupted_run_ends_cleanly(flows: str) -> None:
    """Ctrl-C: exit code 130, one word, no traceback."""
    command = [sys.executable, "-m", "coterie.cli", "run", f"{flows}:flow", "--input", '{"text": "sleep"}']
    running = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # else inherited: perhaps ignored
    )
    try:
        assert running.stdout is not None
        assert "running 1" in running.stdout.readline()  # the view's first line: the run is under way
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == Exit.INTERRUPTED
    assert "interrupted" in output
    assert "Traceback" not in output
