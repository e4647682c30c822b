#!/usr/bin/env python3
"""The hand-written DuckDB script that the speed of `rxpulse materialize` is compared with.

    run.py run    --project DIR [--lake DIR] --out DIR [--threads N] [--memory 1GB] [--one-file]
    run.py verify --project DIR [--lake DIR] --out DIR
    run.py sql    --project DIR [--lake DIR] --out DIR          prints the statements

`run` reads the current bronze files and writes silver, fact and top as Parquet; it prints one
JSON line with wall seconds, CPU seconds and peak memory. `verify` compares what `run` wrote
with the lake's own tables, both ways, and fails on any row that only one side has.
"""

import argparse
import json
import re
import resource
import shutil
import sys
import time
from pathlib import Path

import duckdb

import phrases

HERE = Path(__file__).parent
TABLES = ("silver_posts", "fact_issue_daily", "top_issue_posts")


def current_files(lake, asset):
    """Paths that the newest manifest of each partition (and source) names."""
    newest = {}
    for path in (lake / "_manifests" / asset).rglob("*.json"):
        found = re.fullmatch(r"(.+)\.(\d{10})\.json", path.name)
        if found:
            key, generation = (path.parent, found[1]), int(found[2])
            if generation > newest.get(key, (0, None))[0]:
                newest[key] = (generation, path)
    names = set()
    for _, path in newest.values():
        names.update(file["path"] for file in json.loads(path.read_text())["files"])
    return sorted(str(lake / name) for name in names)


def nested(cases, default):
    return "CASE " + " ".join(f"WHEN {test} THEN {value}" for test, value in cases) + f" ELSE {default} END"


def statements(args):
    issues, fallback = phrases.taxonomy(args.project / "assets" / "issue_taxonomy.toml")
    brands = phrases.brands(args.project / "pipelines.toml")
    one = lambda rows: "[" + ", ".join(f"CASE WHEN {test} THEN '{key}' END" for key, test in rows) + "]"
    files = current_files(args.lake, "raw_posts")
    if not files:
        sys.exit(f"no manifest under {args.lake}/_manifests/raw_posts names a file")
    layout = "" if args.one_file else ", PARTITION_BY (dt), OVERWRITE_OR_IGNORE"
    values = {
        "files": "[" + ", ".join(phrases.quote(f) for f in files) + "]",
        "brands": one(brands),
        "issues": one([(key, test) for key, test, _ in issues]),
        "fallback": fallback,
        "rule": nested([(f"issues[1] = '{key}'", rule) for key, _, rule in issues], "NULL"),
        "out": str(args.out),
        "format": f"(FORMAT parquet, COMPRESSION zstd{layout})",
    }
    sql = re.sub(r"\{\{(\w+)\}\}", lambda m: values[m[1]], (HERE / "compare.sql").read_text())
    return [s for s in re.split(r"(?m)^---$", sql) if s.strip()]


def connect(args):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
    connection.execute(f"SET threads = {args.threads}")
    if args.memory:
        connection.execute(f"SET memory_limit = '{args.memory}'")
    connection.execute(f"SET temp_directory = {phrases.quote(str(args.out / 'spill'))}")
    return connection


def run(args):
    for table in TABLES:
        shutil.rmtree(args.out / table, ignore_errors=True)
        (args.out / table).unlink() if (args.out / table).is_file() else None
    args.out.mkdir(parents=True, exist_ok=True)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    connection = connect(args)
    steps = []
    for statement in statements(args):
        at = time.perf_counter()
        connection.execute(statement)
        steps.append(round(time.perf_counter() - at, 3))
    rows = connection.execute("SELECT (SELECT count(*) FROM captures), (SELECT count(*) FROM silver)").fetchone()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    out = {
        "captures": rows[0],
        "silver": rows[1],
        "wall_s": round(time.perf_counter() - started, 3),
        "cpu_s": round(cpu, 3),
        "peak_mb": round(after.ru_maxrss / 1024),
        "steps_s": steps,
        "duckdb": duckdb.__version__,
        "threads": args.threads,
    }
    print(json.dumps(out))


def verify(args):
    connection = connect(args)
    differ = 0
    for table in TABLES:
        written = args.out / table
        if written.is_dir():
            mine = f"read_parquet('{written}/**/*.parquet', hive_partitioning = true, hive_types = {{dt: 'VARCHAR'}})"
        else:
            mine = f"read_parquet('{written}')"
        files = current_files(args.lake, table)
        if not files:
            sys.exit(f"no manifest under {args.lake}/_manifests/{table} names a file")
        listed = "[" + ", ".join(phrases.quote(f) for f in files) + "]"
        # The lake's files do not hold dt; their folder does.
        ours = (
            "(SELECT * EXCLUDE (filename), regexp_extract(filename, 'dt=([0-9-]+)', 1) AS dt"
            f" FROM read_parquet({listed}, filename = true, hive_partitioning = false, union_by_name = true))"
        )
        columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {mine}").fetchall()]
        theirs = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {ours}").fetchall()]
        if set(columns) != set(theirs):
            print(f"{table}: columns differ: {sorted(set(columns) ^ set(theirs))}")
            differ += 1
        both = [c for c in columns if c in theirs and c != "content_hash"]
        listed_columns = ", ".join(both)
        for label, a, b in (("only DuckDB has", mine, ours), ("only the lake has", ours, mine)):
            query = f"SELECT {listed_columns} FROM {a} EXCEPT ALL SELECT {listed_columns} FROM {b}"
            count = connection.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]
            if count:
                differ += count
                print(f"{table}: {label} {count} rows, for example:")
                print(connection.execute(f"{query} LIMIT 3").fetchall())
        if "content_hash" in columns and "content_hash" in theirs:
            # Two hashes of the same texts: equal where the other is equal, and only there.
            pairs, left, right = connection.execute(
                "SELECT count(DISTINCT (m.content_hash, o.content_hash)), count(DISTINCT m.content_hash),"
                f" count(DISTINCT o.content_hash) FROM {mine} m JOIN {ours} o USING (dt, post_id)"
            ).fetchone()
            if not pairs == left == right:
                differ += 1
                print(f"{table}: content_hash: {pairs} pairs of {left} and {right} values")
        rows = connection.execute(f"SELECT count(*) FROM {mine}").fetchone()[0]
        print(f"{table}: {rows} rows compared")
    if differ:
        sys.exit(f"{differ} differences")
    print("equal")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "verify", "sql"])
    parser.add_argument("--project", type=Path, required=True, help="folder of pipelines.toml and assets/")
    parser.add_argument("--lake", type=Path, help="default: PROJECT/state/lake")
    parser.add_argument("--out", type=Path, required=True, help="where the tables are written")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", help="DuckDB's memory_limit, such as 1GB")
    parser.add_argument("--one-file", action="store_true", help="one file a table instead of one a day")
    args = parser.parse_args()
    args.lake = args.lake or args.project / "state" / "lake"
    if args.verb == "sql":
        print("\n---\n".join(statements(args)))
    else:
        {"run": run, "verify": verify}[args.verb](args)


if __name__ == "__main__":
    main()
