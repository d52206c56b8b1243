"""Runs one candidate in its own interpreter: a workload and a count a line in, seconds as JSON a line out."""

import asyncio
import importlib
import json
import sys
import time
from pathlib import Path

WARM_UP = 3


def main() -> None:
    """`python worker.py CANDIDATE`, then lines such as {"workload": "chain", "repeats": 20}."""
    sys.path.insert(0, str(Path(__file__).parent))
    candidate = importlib.import_module(sys.argv[1])
    asyncio.run(serve(candidate))


async def serve(candidate: object) -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        work = getattr(candidate, asked["workload"], None)
        if work is None:
            answer: dict[str, float | None] = {"seconds": None}
        else:
            await work(min(WARM_UP, asked["repeats"]))
            began = time.perf_counter()
            await work(asked["repeats"])
            answer = {"seconds": time.perf_counter() - began}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
