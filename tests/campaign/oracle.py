"""An executable oracle of the tests: ``oracle.py MODE [ARGUMENT]``; the value of a design is its length."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def say(**fields):
    print(json.dumps({"v": 1, **fields}), flush=True)


def answer(request):
    say(trial_id=request["trial_id"], value=len(request["design"]))


def main(mode, argument=""):
    for number, line in enumerate(sys.stdin):
        request = json.loads(line)
        id_ = request["trial_id"]
        if mode == "echo":
            say(trial_id=id_, value=None, status="failed", message=json.dumps(request))
        elif mode == "die" and number == 2:
            print("licence server not found", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL) if argument == "kill" else sys.exit(7)
        elif mode == "hang" and number == 2:
            child = subprocess.Popen(["sleep", "600"])
            Path(argument).write_text(f"{os.getpid()} {child.pid}")
            print("waiting for the robot", file=sys.stderr, flush=True)
            time.sleep(600)
        elif mode == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            Path(argument).write_text(str(os.getpid()))
            time.sleep(600)
        elif mode == "count":
            say(trial_id=id_, value=os.getpid())
        elif mode == "slow":
            time.sleep(float(argument))
            answer(request)
        elif mode == "linger":
            answer(request)
            if number == 1:
                time.sleep(600)
        elif mode == "lines":
            sys.stdout.buffer.write(Path(argument).read_bytes())
            sys.stdout.flush()
            return
        else:
            answer(request)


if __name__ == "__main__":
    main(*sys.argv[1:])
