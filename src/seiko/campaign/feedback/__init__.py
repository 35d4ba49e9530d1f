"""Sources of rewards, and the loop that spends a budget on one."""

from seiko.campaign.feedback.base import Feedback, StreamingFeedback
from seiko.campaign.feedback.callables import CallableFeedback
from seiko.campaign.feedback.clusters import SubmititExecutor, dask_executor
from seiko.campaign.feedback.executable import ExecutableFeedback
from seiko.campaign.feedback.retries import Backoff
from seiko.campaign.feedback.running import run
from seiko.campaign.feedback.workers import WorkerProcesses

__all__ = [
    "Backoff",
    "CallableFeedback",
    "ExecutableFeedback",
    "Feedback",
    "StreamingFeedback",
    "SubmititExecutor",
    "WorkerProcesses",
    "dask_executor",
    "run",
]
