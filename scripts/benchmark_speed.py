"""Where the time goes: stages of the chain on a series with landmarks, photos per second, memory.

    .venv/bin/python scripts/benchmark_speed.py SERIES [--workers 2]

SERIES has landmark files (`true_landmarks.py` adds them). Stage times are wall times inside the
worker that did them; photos per second is over everything, the reports included.
"""

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from bsa_vision.app.score import PlannedSeries, plan_series, run_settings, score_many, started_jobs


def stage_times(series: Path, workers: int) -> None:
    """Median and mean seconds of each stage."""
    with tempfile.TemporaryDirectory() as out:
        plan = plan_series(
            series, Path(out), run_settings("personal", "model", None), overwrite=True
        )
        if not isinstance(plan, PlannedSeries):
            print(plan.reason)
            return
        laps = defaultdict(list)
        with started_jobs(plan.jobs, workers) as waiting:
            for outcome in waiting:
                for stage, seconds in outcome().result.seconds.items():
                    laps[stage].append(seconds)
    total = sum(np.mean(seconds) for seconds in laps.values())
    for stage, seconds in laps.items():
        print(
            f"{stage:10s} median {np.median(seconds) * 1000:6.0f} ms  mean "
            f"{np.mean(seconds) * 1000:6.0f} ms  {np.mean(seconds) / total:5.0%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("series", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    stage_times(args.series, args.workers)
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        (outcome,) = score_many([args.series], Path(out), masks="model", workers=args.workers)
        took = time.perf_counter() - started
    photos = sum(len(visit["photos"]) for visit in outcome.document["visits"])
    print(
        f"{photos} photos in {took:.1f} s with {args.workers} workers: {photos / took:.2f} a second"
    )
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"peak memory: main process {own:.2f} GB, largest worker {child:.2f} GB")


if __name__ == "__main__":
    main()
