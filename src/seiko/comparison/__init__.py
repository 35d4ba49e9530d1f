"""Comparisons of many runs: statistics over seeds and tasks, and the tables that a report prints."""

from seiko.comparison.scores import TaskScores, main_number, task_scores
from seiko.comparison.sections import Section, markdown, sections
from seiko.comparison.statistics import bootstrap_interval, holm, interquartile_mean, signed_rank
from seiko.comparison.text import TextTable

__all__ = [
    "Section",
    "TaskScores",
    "TextTable",
    "bootstrap_interval",
    "holm",
    "interquartile_mean",
    "main_number",
    "markdown",
    "sections",
    "signed_rank",
    "task_scores",
]
