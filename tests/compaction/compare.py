"""Holds two data directories against each other after compaction: compare.py KAFKAS OTTLAS OTTLA_BINARY."""

import re
import subprocess
import sys
from pathlib import Path

KAFKAS, OTTLAS, OTTLA = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
# Of a line of the dump: what depends on where a codec's bytes end, and on the clock.
VARYING = re.compile(r"(position|size|crc|isvalid|deleteHorizonMs): \S+ ?")
HORIZON = re.compile(r"deleteHorizonMs: OptionalLong\[(\d+)\]")
HORIZON_SPREAD_MS = 60_000


def dump(log):
    text = subprocess.run([OTTLA, "dump", "--records", log], capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if "offset" in line.lower()]


def compare(name):
    logs = [sorted(path.name for path in (side / name).glob("*.log")) for side in (KAFKAS, OTTLAS)]
    problems = [] if logs[0] == logs[1] else [f"segments {logs[0]} and {logs[1]}"]
    same_bytes = records = 0
    for log in sorted(set(logs[0]) & set(logs[1])):
        left, right = (side / name / log for side in (KAFKAS, OTTLAS))
        if left.read_bytes() == right.read_bytes():
            same_bytes += 1
        a, b = dump(left), dump(right)
        records += sum(line.startswith("|") for line in a)
        horizons = [[int(found) for line in side for found in HORIZON.findall(line)] for side in (a, b)]
        if len(horizons[0]) != len(horizons[1]) or any(
            abs(x - y) > HORIZON_SPREAD_MS for x, y in zip(*horizons)
        ):
            problems.append(f"{log}: delete horizons differ")
        for x, y in zip([VARYING.sub("", line) for line in a], [VARYING.sub("", line) for line in b]):
            if x != y:
                problems.append(f"{log}:\n  kafka {x}\n  ottla {y}")
                break
        if len(a) != len(b):
            problems.append(f"{log}: {len(a)} and {len(b)} lines")
    print(f"{name}: {len(logs[1])} segments, {same_bytes} the same byte by byte, {records} records left")
    for problem in problems[:5]:
        print(f"  DIFFERENT {problem}")
    return not problems


topics = sorted(path.name for path in KAFKAS.glob("*-0") if not path.name.startswith("__"))
results = [compare(name) for name in topics]
sys.exit(0 if results and all(results) else 1)
