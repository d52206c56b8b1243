"""The probe's choice is kept and explained, and work goes on in halves when memory runs out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coterie.agents import devices
from coterie.agents.devices import cache_budget, device_profile, is_out_of_memory, quickest, run_in_halves
from coterie.agents.errors import OutOfMemory


def test_probe_says_what_it_chose_and_why(tmp_path: Path):
    """The reason names the thread count and both choices."""
    profile = device_profile(tmp_path, device="cpu")
    assert profile.device == "cpu"
    assert profile.encoder_dtype in ("float32", "bfloat16")
    assert f"on {profile.threads} thread" in profile.reason
    assert f"{profile.encoder_dtype} encodes and {profile.decoder_dtype} decodes" in profile.reason


def test_probe_is_read_back_instead_of_repeated(tmp_path: Path):
    """A second call returns the very timings of the first."""
    assert device_profile(tmp_path, device="cpu") == device_profile(tmp_path, device="cpu")


def test_asked_threads_are_used(tmp_path: Path):
    """A thread count that was asked for is not second-guessed, and has a profile of its own."""
    assert device_profile(tmp_path, device="cpu", threads=1).threads == 1


def test_probe_of_another_machine_is_not_believed(tmp_path: Path):
    """A profile that was stored on another machine is measured anew."""
    profile = device_profile(tmp_path, device="cpu")
    (path,) = tmp_path.glob("*.json")
    path.write_text(path.read_text().replace(profile.machine, "another machine"))
    assert device_profile(tmp_path, device="cpu").machine == profile.machine


def test_a_profile_is_of_one_set_of_instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A home that was copied to a processor which can do less is probed anew: bfloat16 may be slow there."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    there = device_profile(tmp_path, device="cpu")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert device_profile(tmp_path, device="cpu").machine != there.machine


def test_an_interruption_decides_nothing(monkeypatch: pytest.MonkeyPatch):
    """Each time the machine does something else first, for longer than the whole measurement should take."""
    clock = [0.0]
    interruptions = iter([0.0, 0.0, 1000.0, 0.0, 1000.0, 1000.0])

    def working(seconds: float) -> Callable[[], None]:
        def work() -> None:
            clock[0] += seconds + next(interruptions, 0.0)

        return work

    monkeypatch.setattr(devices, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    assert quickest({"float32": working(1.0), "bfloat16": working(4.0)}) == {"float32": 1e6, "bfloat16": 4e6}


def test_broken_or_unwritable_profile_is_no_obstacle(tmp_path: Path):
    """A file that does not parse, or a folder that cannot be made, costs a new measurement and nothing else."""
    device_profile(tmp_path, device="cpu")
    (path,) = tmp_path.glob("*.json")
    path.write_text("{")
    assert device_profile(tmp_path, device="cpu").device == "cpu"
    assert device_profile(path / "below-a-file", device="cpu").device == "cpu"


def test_probe_leaves_torch_as_it_was(tmp_path: Path):
    """Probing does not change the thread count of the program."""
    before = torch.get_num_threads()
    device_profile(tmp_path, device="cpu", threads=1)
    assert torch.get_num_threads() == before


def test_cache_budget_is_positive():
    """There is always room for some keys and values."""
    assert cache_budget(torch.device("cpu")) > 0


@given(st.lists(st.integers(), min_size=1, max_size=40), st.integers(min_value=1, max_value=8))
def test_halving_gives_the_same_results_in_order(items: list[int], room: int):
    """However little fits at once, every item is computed once and the order holds."""

    def double(some: Sequence[int]) -> list[int]:
        if len(some) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * item for item in some]

    assert run_in_halves(double, items) == [2 * item for item in items]


def test_no_memory_for_one_item_is_out_of_memory():
    """When not even one item fits, the error is ours and keeps its cause."""

    def never(some: Sequence[int]) -> list[int]:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(OutOfMemory, match="not even for one item") as caught:
        run_in_halves(never, [1, 2, 3])
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_other_errors_are_not_taken_for_lack_of_memory():
    """A plain fault passes through at once."""

    def broken(some: Sequence[int]) -> list[int]:
        raise ValueError("shapes differ")

    with pytest.raises(ValueError, match="shapes differ"):
        run_in_halves(broken, [1, 2])
    assert not is_out_of_memory(RuntimeError("shapes differ"))
