# Copyright: (c) 2026, lxdops.compute contributors
# SPDX-License-Identifier: BSD-2-Clause
"""Several things at once: threads, a result of each, and one result of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from .errors import LxdError, Refused

Result = dict[str, Any]
AT_ONCE = 4
"""How many instances are worked on at once where a task does not say: creating one takes the server's processors."""


@dataclass(frozen=True)
class Job:
    """What is to be done for one instance."""

    name: str
    run: Callable[[], Result]
    """Its result, with ``name``, and ``steps`` where it had any; raises ``LxdError``. It waits for its own operations:
    an operation vanishes from the server some seconds after it ended."""
    queue: str
    """Which bound it is counted under."""


def failure(name: str, error: LxdError) -> Result:
    """The result of one that failed."""
    return {"name": name, "msg": error.message, "error": type(error).__name__, **error.details}


def several(
    jobs: Sequence[Job],
    concurrency: Mapping[str, int],
    tell: Callable[[str], None] = lambda _line: None,
    fail_fast: bool = False,
) -> Iterator[tuple[Job, Result]]:
    """The results, as they come. ``concurrency``: how many at once of each queue; ``tell`` gets a line for each;
    ``fail_fast``: after a failure none is begun any more."""
    began, failed = time.monotonic(), False

    def one(job: Job) -> Result:
        try:
            if failed and fail_fast:
                raise Refused(f"{job.name}: not begun, since another failed (fail_fast)")
            return job.run()
        except LxdError as error:
            return failure(job.name, error)

    with ExitStack() as stack:
        queues = {queue: stack.enter_context(ThreadPoolExecutor(most)) for queue, most in concurrency.items()}
        futures: dict[Future[Result], Job] = {queues[job.queue].submit(one, job): job for job in jobs}
        for count, future in enumerate(as_completed(futures), 1):
            found = future.result()
            failed = failed or "error" in found
            what = found["msg"] if "error" in found else ", ".join(found.get("steps", ())) or "unchanged"
            tell(f"{count}/{len(futures)} {time.monotonic() - began:.0f} s {found['name']}: {what}")
            yield futures[future], found


def summary(results: Sequence[Result], kind: str) -> Result:
    """A module's result: those that are good under ``kind``, the others in ``failed_items``."""
    good = [found for found in results if "error" not in found]
    bad = [found for found in results if "error" in found]
    done = [step for found in results for step in found.get("steps") or found.get("steps_done") or ()]
    total: Result = {
        "changed": bool(done),
        "steps": done,
        "diff": [
            {**found["diff"], "before_header": found["name"], "after_header": found["name"]}
            for found in good
            if found["changed"]
        ],
        kind: [{key: value for key, value in found.items() if key != "diff"} for found in good],
        "failed_items": bad,
    }
    if bad:
        total["failed"] = True
        total["msg"] = f"{len(bad)} of {len(results)} instances failed: " + "; ".join(found["msg"] for found in bad)
    return total
