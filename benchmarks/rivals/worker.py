"""Runs one candidate in its own interpreter: a workload and counts a line in, seconds as JSON a line out."""

import asyncio
import importlib
import json
import sys
import time

WARM_UP = 3  # repeats that are not timed


def main() -> None:
    """`python worker.py CANDIDATE`, then lines such as {"workload": "chain", "repeats": 20, "times": 1}."""
    candidate = importlib.import_module(sys.argv[1])  # a file beside this one
    asyncio.run(serve(candidate))


async def serve(candidate: object) -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        work = getattr(candidate, asked["workload"])
        await work(min(WARM_UP, asked["repeats"]))
        began = time.perf_counter()
        for _ in range(asked["times"]):
            await work(asked["repeats"])
        answer = {"seconds": time.perf_counter() - began}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
