#!/usr/bin/env python3
"""10,000 partitions of a trivial table, made together and one by one, every one synced.

    partitions.py [--rxpulse target/release/rxpulse] [--days 10000]

One JSON line a run: wall and CPU milliseconds a partition, peak memory. `together` is a query
that is proven to run over many days at once; `one_by_one` is one that is not (its window spans
the whole input), so that each day is planned, run, checked and written by itself.
"""

import argparse
import datetime
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

CONFIG = """
[project]
name     = "partitions"
start    = "{start}"
end      = "{end}"
timezone = "UTC"

[brands.all]
match_any = ["*"]

[sources.sample]
type = "sample"
posts_per_day = 1

[assets.raw_posts]
layer = "bronze"
kind = "source"
sources = ["sample"]

[assets.trivial]
layer = "gold"
kind = "sql"
deps = ["raw_posts"]
key = ["n"]
"""

BODIES = {
    "together": "SELECT dt, count(*) AS n FROM raw_posts GROUP BY dt",
    "one_by_one": "SELECT dt, n FROM (SELECT dt, row_number() OVER (ORDER BY native_id) AS n FROM raw_posts) WHERE n <= 1",
}


def main():
    here = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rxpulse", default=here / "target" / "release" / "rxpulse", type=Path)
    parser.add_argument("--days", default=10_000, type=int)
    args = parser.parse_args()
    end = datetime.date(2026, 5, 18)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "assets").mkdir()
        (project / "assets" / "issue_taxonomy.toml").write_text((here / "assets" / "issue_taxonomy.toml").read_text())
        start = end - datetime.timedelta(days=args.days - 1)
        (project / "pipelines.toml").write_text(CONFIG.format(start=start, end=end))
        body = project / "assets" / "trivial.sql"
        body.write_text(BODIES["together"])
        run(args.rxpulse, project, "raw_posts")
        for name, sql in BODIES.items():
            body.write_text(sql)
            answer, wall, cpu, peak = run(args.rxpulse, project, "trivial")
            if answer["steps"]["succeeded"] != args.days:
                raise SystemExit(f"{name}: {answer['state']}, {answer['steps']}")
            line = {"wall_ms": round(wall * 1000 / args.days, 3), "cpu_ms": round(cpu * 1000 / args.days, 3), "peak_mb": peak}
            print(json.dumps({"made": name, "partitions": args.days, **line}), flush=True)


def run(rxpulse, project, asset):
    """What it answered, wall seconds, CPU seconds, peak MB."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [rxpulse, "-C", project, "--format", "json", "materialize", asset], stdout=subprocess.PIPE, text=True
    )
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    if status != 0:
        raise SystemExit(f"rxpulse failed: {said}")
    return json.loads(said), wall, used.ru_utime + used.ru_stime, round(used.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
