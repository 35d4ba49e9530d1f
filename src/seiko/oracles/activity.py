"""Predicted activity: random forests on Morgan fingerprints, kept as arrays."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from seiko.checkpoints import read_tensors, tensors_to_bytes, write_atomically
from seiko.data import folder_of, read_file
from seiko.domains.molecule_features import morgan
from seiko.errors import ParameterError, WeightsError
from seiko.oracles.similarity import molecule_of

NUM_BITS, RADIUS = 2048, 2

PUBLISHED: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "gsk3b": ("gsk3.csv.gz", "gsk3", "e34a40120f3519107fe2d1c4af3f4df17b7b2f9ae1fca229648971a73bf633ac"),
        "jnk3": ("jnk3.csv.gz", "jnk3", "47b608b9cb59c9d6a0ffc6ed5bb2b3daaa270dedf78ec57560fb9d3400b525b5"),
    }
)
"""File, column and sha256 of the labels (ExCAPE-DB, by Li et al., J. Cheminform. 10:33, 2018)."""


def fingerprint_bits(smiles: Sequence[str]) -> np.ndarray:
    """Morgan fingerprints of radius 2, bool [n, 2048].

    Raises:
        ParameterError: If RDKit cannot read a SMILES.
    """
    generator = morgan(radius=RADIUS, fpSize=NUM_BITS)
    rows = [generator.GetFingerprintAsNumPy(molecule_of(text)) for text in smiles]
    return np.array(rows, dtype=bool).reshape(len(rows), NUM_BITS)


@dataclass(frozen=True, eq=False)
class Forest:
    """A forest of decision trees over bits: probability of "active", in [0, 1].

    A node with bit b >= 0 sends a row to `left` where the bit is 0 and to `right` where it is 1; a leaf has
    bit -1 and the share of actives among its training rows. Nodes of all trees stand in one array.

    Attributes:
        bits: int32 [nodes].
        left, right: int32 [nodes], numbers of nodes.
        values: float32 [nodes].
        roots: int32 [trees].
    """

    bits: np.ndarray
    left: np.ndarray
    right: np.ndarray
    values: np.ndarray
    roots: np.ndarray

    @classmethod
    def fit(
        cls, rows: np.ndarray, labels: np.ndarray, *, num_trees: int = 100, seed: int = 0, jobs: int = 1
    ) -> Forest:
        """Fit scikit-learn's random forest and take its trees.

        Args:
            rows: Bits, bool [n, bit].
            labels: 0 or 1, [n].
            num_trees: Number of trees.
            seed: The same seed gives the same forest.
            jobs: Processes to fit with.

        Raises:
            ParameterError: If there are not two classes, or the sizes differ.
        """
        from sklearn.ensemble import RandomForestClassifier

        labels = np.asarray(labels)
        if len(rows) != len(labels) or set(np.unique(labels).tolist()) != {0, 1}:
            raise ParameterError(
                f"A forest needs one label 0 or 1 a row, both present; got {len(rows)} rows and labels "
                f"{np.unique(labels)[:5].tolist()} of {len(labels)}."
            )
        fitted = RandomForestClassifier(num_trees, random_state=seed, n_jobs=jobs).fit(rows, labels)
        return cls._from_trees([estimator.tree_ for estimator in fitted.estimators_])

    @classmethod
    def _from_trees(cls, trees: Sequence[Any]) -> Forest:
        roots = np.cumsum([0, *(tree.node_count for tree in trees)])
        shift = np.repeat(roots[:-1], np.diff(roots))
        counts = np.concatenate([tree.value[:, 0, :] for tree in trees])
        joined = {
            name: np.concatenate([getattr(tree, name) for tree in trees])
            for name in ("feature", "children_left", "children_right")
        }
        is_leaf = joined["children_left"] < 0
        return cls(
            np.where(is_leaf, -1, joined["feature"]).astype(np.int32),
            np.where(is_leaf, 0, joined["children_left"] + shift).astype(np.int32),
            np.where(is_leaf, 0, joined["children_right"] + shift).astype(np.int32),
            (counts[:, 1] / counts.sum(1)).astype(np.float32),
            roots[:-1].astype(np.int32),
        )

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Mean over trees of the leaf's value, float64 [n]."""
        nodes = np.broadcast_to(self.roots, (len(rows), len(self.roots))).copy()
        index = np.arange(len(rows))[:, None]
        while True:
            bits = self.bits[nodes]
            inner = bits >= 0
            if not inner.any():
                return self.values[nodes].astype(float).mean(1)
            taken = np.where(rows[index, bits], self.right[nodes], self.left[nodes])
            nodes = np.where(inner, taken, nodes)

    def save(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> None:
        """Write the arrays as safetensors, whole or not at all."""
        arrays = {name: torch.from_numpy(getattr(self, name)) for name in _ARRAYS}
        write_atomically(path, tensors_to_bytes(arrays, metadata))

    @classmethod
    def load(cls, path: str | Path) -> Forest:
        """Read what `save` wrote.

        Raises:
            WeightsError: If the file is missing, damaged, or holds no forest.
        """
        tensors, _ = read_tensors(path)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        if set(arrays) != set(_ARRAYS) or len({len(arrays[n]) for n in _ARRAYS[:-1]}) != 1:
            raise WeightsError(f"{path} holds no forest, but {sorted(arrays)}.", hint="Fit it again.")
        size = len(arrays["bits"])
        links = np.concatenate([arrays[name] for name in ("left", "right", "roots")])
        if not len(arrays["roots"]) or links.min() < 0 or links.max() >= size:
            raise WeightsError(f"{path} holds a forest with links that lead nowhere.", hint="Fit it again.")
        return cls(**arrays)


_ARRAYS = ("bits", "left", "right", "values", "roots")


@dataclass(frozen=True, eq=False)
class Activity:
    """Predicted probability that a molecule is active against a target; a function of a SMILES string."""

    forest: Forest

    def __call__(self, smiles: str) -> float:
        return float(self.many([smiles])[0])

    def many(self, smiles: Sequence[str]) -> list[float]:
        """Of several molecules at once, which is faster; for ``CallableFeedback(..., batched=True)``."""
        return self.forest.predict(fingerprint_bits(smiles)).tolist() if len(smiles) else []


def read_labels(name: str, folder: str | Path | None = None) -> tuple[list[str], np.ndarray]:
    """SMILES and labels, 1 for active, of one of the `PUBLISHED` sets.

    Args:
        name: gsk3b or jnk3.
        folder: Holds the files; ``$SEIKO_DATA/gsk3b_jnk3`` if None.

    Raises:
        ParameterError: If there is no such set.
        DataError: If its file is missing or damaged.
    """
    if name not in PUBLISHED:
        raise ParameterError(f"There are no labels {name!r}; there are {', '.join(PUBLISHED)}.")
    file, column, sha256 = PUBLISHED[name]
    content = gzip.decompress(read_file(folder_of("gsk3b_jnk3", folder) / file, sha256))
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    return [row["smiles"] for row in rows], np.array([int(float(row[column])) for row in rows])


def training_rows(labels: np.ndarray, *, num_inactive: int = 6000, seed: int = 0) -> np.ndarray:
    """Positions of all actives and of a random `num_inactive` of the others."""
    inactive = np.flatnonzero(labels == 0)
    rng = np.random.default_rng(seed)
    some = rng.choice(inactive, min(num_inactive, len(inactive)), replace=False)
    return np.sort(np.concatenate([np.flatnonzero(labels == 1), some]))


def load_activity(
    name: str, *, folder: str | Path | None = None, cache: str | Path | None = None, seed: int = 0
) -> Activity:
    """The activity predictor of gsk3b or jnk3, fitted on all actives and 6,000 inactives.

    It stands for the objective of the same name of PMO, whose own pickled forest no longer loads; its values
    are not that forest's.

    Args:
        name: gsk3b or jnk3.
        folder: Of the labels, as in `read_labels`.
        cache: Folder for the fitted forest; fitted anew, in some 20 s, if None or empty.
        seed: Of the inactives and of the forest.

    Raises:
        ParameterError: As in `read_labels`.
        WeightsError: If the cached forest is damaged.
    """
    if name not in PUBLISHED:
        raise ParameterError(f"There are no labels {name!r}; there are {', '.join(PUBLISHED)}.")
    path = None if cache is None else Path(cache) / f"{name}-{seed}-{PUBLISHED[name][2][:8]}.safetensors"
    if path is not None and path.exists():
        return Activity(Forest.load(path))
    smiles, labels = read_labels(name, folder)
    rows = training_rows(labels, seed=seed)
    forest = Forest.fit(fingerprint_bits([smiles[i] for i in rows]), labels[rows], seed=seed)
    if path is not None:
        forest.save(path, {"name": name, "seed": seed, "rows": len(rows)})
    return Activity(forest)
