"""The role mask: what is learned of a conversation is what the engine would have the model write."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie.agents import checkpoints
from coterie.agents.inference import ChatTurn, Speaker
from coterie.agents.language_model import prompt_tokens
from coterie.agents.tokens import load_tokenizer
from coterie.tuning.errors import DatasetError
from coterie.tuning.rows import DialogueRow, Source
from coterie.tuning.supervision import RoleMask

SYSTEM = ChatTurn("system", "Guide the student.")
TURNS = (
    SYSTEM,
    ChatTurn("user", "how did sales develop?"),
    ChatTurn("assistant", "They rose by ten percent."),
    ChatTurn("user", "and costs?"),
    ChatTurn("assistant", '{"text":"Costs fell"}'),
    ChatTurn("user", "thanks"),
)
LEARNED = (False, False, True, False, True, False)


def row(turns: Sequence[ChatTurn] = TURNS, supervised: Sequence[bool] | None = None, name: str = "a") -> DialogueRow:
    chosen = supervised or [turn.speaker == "assistant" for turn in turns]
    return DialogueRow(name, tuple(turns), tuple(chosen), "train", Source(f"chats.jsonl, line {name}", name))


def real_smollm2(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pinned language model on this machine, outside the tests' own home."""
    monkeypatch.delenv("COTERIE_HOME")
    pin = next(pin for pin in checkpoints.known() if pin.name == "smollm2-135m")
    folder = checkpoints.installed(pin)
    if folder is None:
        pytest.skip("smollm2-135m has not been fetched on this machine: `coterie models fetch`")
    return folder


def template_by_hand(turns: Sequence[ChatTurn], supervised: Sequence[bool]) -> list[tuple[str, bool]]:
    """The pieces that a ChatML template writes, and which of them are learned."""
    pieces = []
    for turn, learned in zip(turns, supervised, strict=True):
        pieces += [(f"<|im_start|>{turn.speaker}\n", False), (f"{turn.text}<|im_end|>", learned), ("\n", False)]
    return pieces


def check_against_template(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    found = RoleMask(folder).tokens_of(row(), LEARNED)
    expected = [
        (token, learned)
        for text, learned in template_by_hand(TURNS, LEARNED)
        for token in tokenizer.encode(text, add_special_tokens=False)
    ]
    assert list(zip(found.tokens.tolist(), found.supervised.tolist(), strict=True)) == expected
    learned = tokenizer.decode(found.tokens[found.supervised])
    assert learned == 'They rose by ten percent.<|im_end|>{"text":"Costs fell"}<|im_end|>'


def test_the_mask_is_the_template_piece_by_piece(tiny_decoder: Path) -> None:
    """Texts of supervised turns and the token that ends them, and nothing that the template writes."""
    check_against_template(tiny_decoder)


def test_the_mask_is_the_template_of_the_real_language_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with the pinned base."""
    check_against_template(real_smollm2(monkeypatch))


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=2, max_size=7),
    system=st.booleans(),
)
def test_what_stands_before_a_reply_is_its_prompt(tiny_decoder: Path, texts: list[str], system: bool) -> None:
    """For any texts: the tokens before the first supervised one are those that the engine would be given."""
    speakers: tuple[Speaker, Speaker] = ("user", "assistant")
    said = [ChatTurn(speakers[place % 2], text) for place, text in enumerate(texts)]
    turns = (SYSTEM, *said) if system else tuple(said)
    replies = [place for place, turn in enumerate(turns) if turn.speaker == "assistant"]
    only_last = [place == replies[-1] for place in range(len(turns))]
    found = RoleMask(tiny_decoder).tokens_of(row(turns), only_last)
    begin = int(found.supervised.argmax())
    assert found.tokens[:begin].tolist() == prompt_tokens(load_tokenizer(tiny_decoder), turns[: replies[-1]])
    assert found.supervised[begin:].sum() == found.supervised.sum()


def test_the_supervised_share_is_reported(tiny_decoder: Path) -> None:
    """With how many conversations and tokens there are."""
    supervision = RoleMask(tiny_decoder).supervise([row(), row(name="b")], 1_000)
    learned = sum(int(one.supervised.sum()) for one in supervision.sequences)
    assert supervision.share == learned / sum(len(one) for one in supervision.sequences)
    assert str(supervision) == (
        f"2 conversations of {supervision.tokens:,} tokens, of which {learned:,} ({supervision.share:.1%}) are learned"
    )


def test_a_row_without_a_supervised_token_is_refused(tiny_decoder: Path) -> None:
    """By its name and place."""
    with pytest.raises(DatasetError, match=r"conversation 'a' \(chats\.jsonl, line a\) has no supervised token: none"):
        RoleMask(tiny_decoder).supervise([row(supervised=[False] * len(TURNS))], 1_000)


def test_only_the_assistant_is_learned(tiny_decoder: Path) -> None:
    """What users say is not."""
    with pytest.raises(DatasetError, match="would learn a turn of the user; only turns of the assistant"):
        RoleMask(tiny_decoder).supervise([row(supervised=[False, True, True, False, True, False])], 1_000)


def test_marks_must_fit_the_turns(tiny_decoder: Path) -> None:
    """One for each."""
    with pytest.raises(DatasetError, match="has 6 turns, but 2 marks of what is learned"):
        RoleMask(tiny_decoder).supervise([row(supervised=[False, True])], 1_000)


def test_a_long_row_loses_its_oldest_turns(tiny_decoder: Path) -> None:
    """Not the system's, and it begins with a user's turn again; how many is said."""
    mask = RoleMask(tiny_decoder)
    whole = mask.tokens_of(row(), LEARNED)
    supervision = mask.supervise([row()], len(whole) - 1)
    (kept,) = supervision.sequences
    expected = mask.tokens_of(row((SYSTEM, *TURNS[3:])), (False, False, True, False))
    assert kept.tokens.tolist() == expected.tokens.tolist()
    assert kept.turns_cut == 2
    assert str(supervision).endswith("'a' lost their oldest turns, 2 in all, to the context")


def test_as_few_turns_are_cut_as_will_do(tiny_decoder: Path) -> None:
    """Whatever the limit: one turn of the user more would not have fitted."""
    mask = RoleMask(tiny_decoder)
    turns = [SYSTEM, *[one for number in range(9) for one in (ChatTurn("user", f"{number}"), TURNS[2])]]
    long = row(turns)
    whole = len(mask.tokens_of(long, long.supervised))
    for limit in range(whole // 3, whole, 7):
        (kept,) = mask.supervise([long], limit).sequences
        assert len(kept) <= limit
        assert len(mask.without(long, long.supervised, kept.turns_cut - 2)) > limit


def test_a_row_that_cannot_fit_is_left_out_by_name(tiny_decoder: Path) -> None:
    """The others are still learned."""
    endless = row((ChatTurn("user", "w " * 50_000), ChatTurn("assistant", "yes")), name="endless")
    supervision = RoleMask(tiny_decoder).supervise([row(), endless], 512)
    assert [one.row for one in supervision.sequences] == ["a"]
    assert supervision.too_long == ("endless",)
    assert "'endless' were left out: not even their last supervised turn fits the context" in str(supervision)


def test_a_template_that_renders_earlier_turns_anew_is_refused(tiny_decoder: Path, tmp_path: Path) -> None:
    """Such as one that drops earlier thoughts: what is learned would not be what is served. The last turn alone can."""
    tokenizer = load_tokenizer(tiny_decoder)
    tokenizer.chat_template = str(tokenizer.chat_template).replace(
        "message['content']", "(message['content'] if loop.last or message['role'] != 'assistant' else '…')"
    )
    tokenizer.save_pretrained(tmp_path)
    mask = RoleMask(tmp_path)
    with pytest.raises(DatasetError, match=r"'a' .* renders turns 3 differently .* supervise the last turn only"):
        mask.supervise([row()], 1_000)
    alone = row(TURNS[:3])
    assert len(mask.supervise([replace(alone, supervised=(False, False, True))], 1_000).sequences) == 1


def test_a_template_that_ends_no_reply_is_refused(tiny_decoder: Path, tmp_path: Path) -> None:
    """A model would never learn to stop."""
    tokenizer = load_tokenizer(tiny_decoder)
    tokenizer.chat_template = "{% for said in messages %}{{ said['role'] + ': ' + said['content'] }}{% endfor %}"
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(DatasetError, match="ends a reply with no token that the checkpoint stops at"):
        RoleMask(tmp_path).supervise([row()], 1_000)
