"""Makes the table of the README: `nnmc test OUT --message-format json | python summary.py OUT`."""
import json
import os
import sys


def main(out):
    with open(os.path.join(out, "cases.json")) as f:
        report = json.load(f)
    bad, seen = set(), set()
    for line in sys.stdin:
        event = json.loads(line)
        if "experiment" not in event:
            continue
        case = event["experiment"].removeprefix("case_")
        seen.add(case)
        if event["verdict"] != "held":
            bad.add(case)
    total = 0
    rows = []
    for operator, cases in sorted(report["written"].items(), key=lambda x: x[0].lower()):
        held = [c for c in cases if c in seen and c not in bad]
        total += len(held)
        rows.append(f"{operator} {len(held)}" + (f" of {len(cases)}" if len(held) < len(cases) else ""))
    print(f"{total} cases of {len(rows)} operators hold.\n")
    print(" · ".join(rows))
    print("\n| not written | cases | why |\n|---|---|---|")
    for operator, cases in sorted(report["skipped"].items()):
        for why in dict.fromkeys(w for _, w in cases):
            print(f"| {operator} | {sum(w == why for _, w in cases)} | {why} |")


if __name__ == "__main__":
    main(sys.argv[1])
