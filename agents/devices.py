"""Which device, number type and thread count models should use here: measured once per machine, not assumed.

The probe times one matrix product of the shape that decoding uses and one of the shape that encoding uses, in float32
and in bfloat16, in turns and the quickest of many, since the machine may be busy with something else when Coterie is
first used. The file also knows what running out of memory looks like, and how to go on with less.

This file knows nothing of models, requests or where the cache folder is.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import TypeAdapter, ValidationError

from .errors import OutOfMemory

Item = TypeVar("Item")
Result = TypeVar("Result")
Name = TypeVar("Name")

DECODE_SHAPE = (8, 1536, 576)  # rows, inputs, outputs of a product in one step of eight replies
ENCODE_SHAPE = (256, 384, 1536)  # the same in one batch of texts
WORTHWHILE = 0.8  # bfloat16 must take less than this share of float32's time, for it costs precision
MEASURE_FOR = 0.3  # seconds for each measurement, at the least
ROUNDS = 10  # times that each product is timed, at the least: on a busy machine the first few may all be interrupted
GIBIBYTE = 1 << 30
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """What the probe chose, and why."""

    machine: str  # processor or accelerator, cores and torch version: a profile is valid for one machine
    device: str  # "cpu" or "cuda"
    threads: int
    encoder_dtype: str  # "float32", "bfloat16" or "float16"
    decoder_dtype: str
    timings: dict[str, float]  # microseconds of each product that was timed
    reason: str  # one sentence for a person


_PROFILE = TypeAdapter(DeviceProfile)


def device_profile(folder: Path, device: str | None = None, threads: int | None = None) -> DeviceProfile:
    """The profile of this machine, from a JSON file in `folder` or measured now, which takes under 2 s.

    device_profile(home())                  # what is best here
    device_profile(home(), device="cpu")    # the processor, though there is a GPU
    device_profile(home(), threads=1)       # leave the other cores alone
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    machine = _machine(chosen, threads)
    path = folder / f"device-{chosen.replace(':', '-')}-{threads or 'auto'}.json"
    stored = _read(path)
    if stored is not None and stored.machine == machine:
        return stored
    measured = _probe_cpu(machine, threads) if chosen == "cpu" else _gpu_profile(machine, chosen, threads)
    with suppress(OSError):  # nothing is lost but a second's work at the next start
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_PROFILE.dump_json(measured, indent=2))
    return measured


def cache_budget(device: torch.device) -> int:
    """How many bytes the keys and values of all replies may take on `device`."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // 2
    with suppress(ValueError, OSError, AttributeError):  # not every platform tells
        return min(GIBIBYTE, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") // 4)
    return GIBIBYTE


def quickest(work: Mapping[Name, Callable[[], object]]) -> dict[Name, float]:
    """Microseconds of each piece of `work` at its quickest, after a first time that warms up.

    They take turns, so that whatever else the machine does falls upon all of them.
    """
    seconds = {name: float("inf") for name in work}
    for run in work.values():
        run()
    rounds, end = 0, time.perf_counter() + MEASURE_FOR
    while rounds < ROUNDS or time.perf_counter() < end:
        for name, run in work.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
        rounds += 1
    return {name: taken * 1e6 for name, taken in seconds.items()}


def is_out_of_memory(error: Exception) -> bool:
    """Whether `error` is torch's way of saying that the device has no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in OUT_OF_MEMORY)


def run_in_halves(run: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> list[Result]:
    """`run(items)`; where memory runs out, half of them at a time, down to one.

    Raises:
        OutOfMemory: there is no memory even for one.
    """
    try:
        return run(items)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        if len(items) == 1:
            raise OutOfMemory(f"the device has no memory left, not even for one item: {error}") from error
    middle = len(items) // 2
    return run_in_halves(run, items[:middle]) + run_in_halves(run, items[middle:])


def _read(path: Path) -> DeviceProfile | None:
    try:
        return _PROFILE.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _machine(device: str, threads: int | None) -> str:
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    return (
        f"{platform.machine()} {name}, {_usable_cores()} cores, {threads or 'any'} threads, torch {torch.__version__}"
    )


def _processor() -> str:
    """With the instructions that torch uses on it: a home may have been copied from a machine that has others."""
    return f"{platform.processor() or 'cpu'} {torch.backends.cpu.get_cpu_capability()}"


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpu_profile(machine: str, device: str, threads: int | None) -> DeviceProfile:
    half = "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float16"
    reason = f"{device} was chosen for its speed, with {half}, which it computes natively."
    return DeviceProfile(machine, device, threads or _usable_cores(), half, half, {}, reason)


def _probe_cpu(machine: str, threads: int | None) -> DeviceProfile:
    before = torch.get_num_threads()
    try:
        chosen = threads or _best_thread_count()
        torch.set_num_threads(1)  # on a busy machine, several wait for each other and say nothing of number types
        timings = quickest(
            {
                f"{work} {name}": _product(shape, dtype)
                for work, shape in (("decode", DECODE_SHAPE), ("encode", ENCODE_SHAPE))
                for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
            }
        )
    finally:
        torch.set_num_threads(before)
    encoder, decoder = (_faster_dtype(timings, work) for work in ("encode", "decode"))
    reason = (
        f"bfloat16 takes {_ratio(timings, 'encode')} as long as float32 in encoding and {_ratio(timings, 'decode')} in "
        f"decoding, so {encoder} encodes and {decoder} decodes, on {chosen} thread{'s' * (chosen > 1)}."
    )
    return DeviceProfile(machine, "cpu", chosen, encoder, decoder, timings, reason)


def _best_thread_count() -> int:
    """All usable cores, or half of them where that is clearly faster: containers often get less than they see."""
    cores = _usable_cores()
    if cores == 1:
        return 1
    product = _product(ENCODE_SHAPE, torch.float32)
    times: dict[int, float] = {}
    for count in (cores, cores // 2):
        torch.set_num_threads(count)
        times |= quickest({count: product})
    return cores if times[cores] <= times[cores // 2] * 1.2 else cores // 2


def _faster_dtype(timings: dict[str, float], work: str) -> str:
    return "bfloat16" if timings[f"{work} bfloat16"] < WORTHWHILE * timings[f"{work} float32"] else "float32"


def _ratio(timings: dict[str, float], work: str) -> str:
    return f"{timings[f'{work} bfloat16'] / timings[f'{work} float32']:.2f} times"


def _product(shape: tuple[int, int, int], dtype: torch.dtype) -> Callable[[], object]:
    """A product of (rows, inputs) by (outputs, inputs)."""
    rows, inputs, outputs = shape
    left, right = torch.ones(rows, inputs, dtype=dtype), torch.ones(outputs, inputs, dtype=dtype)
    return partial(torch.nn.functional.linear, left, right)
