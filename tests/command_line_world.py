"""A small domain of words for tests of the command line; copied into a campaign's folder as ``words.py``."""

from __future__ import annotations

import itertools

import torch

from seiko.domains.base import Domain
from seiko.proposers.base import Proposal
from seiko.tables.designs import DesignEntry, DesignFormat, inside, text_lines, trial_name

SIZE = 6


def is_word(word):
    return isinstance(word, str) and len(word) == SIZE and set(word) <= set("ACGT")


def write_words(path, entries):
    path.write_text("".join(f"{entry.name}:{entry.design}\n" for entry in entries))


def read_words(path):
    for number, line in text_lines(path):
        name, _, rest = line.partition(":")
        word, _, value = rest.partition("=")
        yield DesignEntry(number, word, name, {"value": value} if value else {})


def write_folder(path, entries):
    path.mkdir()
    for entry in entries:
        inside(path, f"{entry.name}.txt").write_text(entry.design)


def read_folder(path):
    for number, file in enumerate(sorted(path.iterdir()), start=1):
        yield DesignEntry(number, inside(path, file.name).read_text(), file.stem)


def load():
    return None, Domain(
        "words",
        decode=list,
        features=lambda words: torch.tensor([[float(w.count(c)) for c in "ACGT"] for w in words]),
        is_valid=is_word,
        why_invalid=lambda word: "" if is_word(word) else f"a word has {SIZE} letters of ACGT",
        key=str.upper,
        to_bytes=str.encode,
        from_bytes=bytes.decode,
        render=lambda word: f'<svg xmlns="http://www.w3.org/2000/svg"><text>{word}</text></svg>',
        formats={
            "words": DesignFormat((".words",), write_words, read_words),
            "folder": DesignFormat((), write_folder, read_folder),
        },
    )


class InOrder:
    """Proposes words around the best one so far, never one that was asked."""

    def __init__(self, shift=0):
        self.shift = shift

    def propose(self, history, num_queries, *, resume, generator):
        best = max(history.complete, key=lambda t: t.value, default=None)
        letters = sorted("ACGT", key=lambda c: -(best.design.count(c) if best else 0))
        start = int(torch.randint(50, (1,), generator=generator)) + self.shift
        words = ("".join(word) for word in itertools.product(letters, repeat=SIZE))
        new = (word for word in itertools.islice(words, start, None) if word not in history.keys)
        chosen = list(itertools.islice(new, num_queries))
        predictions = [(float(word.count("A")), 0.5) for word in chosen]
        return Proposal(chosen, predictions, {"best.txt": b"x"}, {"kl/pretrained_nats": 0.1})


def method(chain, domain, *, shift=0):
    return InOrder(shift)


def score(word):
    return word.count("A") - 0.5 * word.count("T")


def fails(word):
    raise RuntimeError("the assay broke")


__all__ = ["InOrder", "fails", "load", "method", "score", "trial_name"]
