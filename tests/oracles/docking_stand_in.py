"""Stands in for the docking worker: the same lines in and out, with molecules that crash or never finish."""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    config = json.loads(sys.stdin.readline())
    broken = "BROKEN" in config["pdbqt"]
    print(json.dumps({"error": "RuntimeError: bad map"} if broken else {"ready": True}), flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        if job["smiles"] == "slow":
            time.sleep(600)
        if job["smiles"] == "crash":
            os._exit(7)
        # "crash first, salt" crashes for seed 1 and is a salt for the others
        if job["smiles"].startswith("crash first") and job["seed"] == 1:
            os._exit(7)
        if job["smiles"] in ("salt", "crash first, salt"):
            answer = {"infeasible": "disconnected", "refused": True}
        elif job["smiles"] == "crash first, flat":
            answer = {"infeasible": "no 3-D structure", "refused": False}
        elif job["smiles"] == "half" and job["seed"] == 2:
            answer = {"failed": "RuntimeError: no pose"}
        else:
            no_fit = job["smiles"] in ("large", "crash first, large") or (
                job["smiles"] == "tight" and job["seed"] == 2
            )
            energy = 5.0 if no_fit else -len(job["smiles"]) - job["seed"] / 10
            answer = {"energy": energy, "pose": f"{job['smiles']} {job['seed']}"}
        print(json.dumps({**answer, "seconds": 0.5}), flush=True)


if __name__ == "__main__":
    main()
