"""A process of its own that runs a campaign: ``running_child.py FOLDER SECONDS [WORKERS]``."""

from __future__ import annotations

import sys
import time

import campaign_world as world

from seiko.campaign.feedback import CallableFeedback, run


def reward(word):
    time.sleep(float(sys.argv[2]))
    return float(len(word))


def pause(word):
    time.sleep(0.4)
    return float(len(word))


def main():
    campaign = world.reopen(sys.argv[1])
    told = sum(t.value is not None for t in campaign.trials)
    print("ready", told, flush=True)
    if len(sys.argv) > 3:
        feedback = CallableFeedback(pause, workers=int(sys.argv[3]))
    else:
        feedback = CallableFeedback(reward)
    run(campaign, feedback, on_told=lambda batch: print("told", *batch, flush=True))
    print("done", flush=True)


if __name__ == "__main__":
    main()
