"""Published numbers, with what was counted: to be printed beside ours, never mixed into our tables.

PMO (Gao et al., arXiv:2206.12411) averages the running mean of the ten best over the calls of the oracle. It
counts a molecule once however often it is proposed, so that duplicates and invalid ones are free; here every
design that is asked for counts, and none is asked for twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PMO = (
    "benchmark of Gao et al., arXiv:2206.12411; numbers as later papers compare them (GenMol, "
    "arXiv:2501.06158, and others)"
)
COUNTING = "AUC of the top-10 mean; duplicates and invalid molecules are not counted as calls"
NUM_OBJECTIVES = 23


@dataclass(frozen=True)
class PublishedSum:
    """The sum over the 23 objectives of PMO that a paper gives.

    Attributes:
        method: As the paper calls it.
        calls: Of the oracle.
        value: Sum of the AUC of the top-10 mean.
        prescreened: Whether ZINC250k was screened with the oracle first; never compare across this.
    """

    method: str
    calls: int
    value: float
    prescreened: bool = False


SUMS = (
    PublishedSum("LICO", 1_000, 11.71),
    PublishedSum("MOLLEO", 1_000, 11.65),
    PublishedSum("Genetic GFN", 1_000, 11.56),
    PublishedSum("GP BO", 1_000, 11.27),
    PublishedSum("InVirtuoGen", 10_000, 16.68),
    PublishedSum("Genetic GFN", 10_000, 16.21),
    PublishedSum("REINVENT, tuned", 10_000, 15.19),
    PublishedSum("Augmented Memory", 10_000, 15.00),
    PublishedSum("Mol GA", 10_000, 14.71),
    PublishedSum("REINVENT", 10_000, 14.20),
    PublishedSum("Graph GA", 10_000, 13.75),
    PublishedSum("GP BO", 10_000, 13.16),
    PublishedSum("InVirtuoGen", 10_000, 18.99, prescreened=True),
    PublishedSum("GenMol", 10_000, 18.36, prescreened=True),
    PublishedSum("f-RAG", 10_000, 16.93, prescreened=True),
)

COLUMNS = ("GenMol", "f-RAG", "Genetic GFN", "Mol GA", "REINVENT", "Graph GA")
"""Of `PER_TASK`; the first two prescreen."""

PER_TASK: Mapping[str, tuple[float, ...]] = {
    "albuterol_similarity": (0.937, 0.977, 0.949, 0.896, 0.882, 0.838),
    "amlodipine_mpo": (0.810, 0.749, 0.761, 0.688, 0.635, 0.661),
    "celecoxib_rediscovery": (0.826, 0.778, 0.802, 0.567, 0.713, 0.630),
    "deco_hop": (0.960, 0.936, 0.733, 0.649, 0.666, 0.619),
    "fexofenadine_mpo": (0.894, 0.856, 0.856, 0.825, 0.784, 0.760),
    "isomers_c7h8n2o2": (0.942, 0.955, 0.969, 0.878, 0.852, 0.862),
    "isomers_c9h10n2o2pf2cl": (0.833, 0.850, 0.897, 0.865, 0.642, 0.719),
    "median1": (0.398, 0.340, 0.379, 0.257, 0.356, 0.294),
    "median2": (0.359, 0.323, 0.294, 0.301, 0.276, 0.273),
    "mestranol_similarity": (0.982, 0.671, 0.708, 0.591, 0.618, 0.579),
    "osimertinib_mpo": (0.876, 0.866, 0.860, 0.844, 0.837, 0.831),
    "perindopril_mpo": (0.718, 0.681, 0.595, 0.547, 0.537, 0.538),
    "qed": (0.942, 0.939, 0.942, 0.941, 0.941, 0.940),
    "ranolazine_mpo": (0.821, 0.820, 0.819, 0.804, 0.760, 0.728),
    "scaffold_hop": (0.628, 0.576, 0.615, 0.527, 0.560, 0.517),
    "sitagliptin_mpo": (0.584, 0.601, 0.634, 0.582, 0.021, 0.433),
    "thiothixene_rediscovery": (0.692, 0.584, 0.583, 0.519, 0.534, 0.479),
    "troglitazone_rediscovery": (0.867, 0.448, 0.511, 0.427, 0.441, 0.390),
    "valsartan_smarts": (0.822, 0.627, 0.135, 0.0, 0.178, 0.0),
    "zaleplon_mpo": (0.584, 0.486, 0.552, 0.519, 0.358, 0.346),
}
"""AUC top-10 at 10,000 calls, by the objective's name in PMO."""


def objective_of(task: str) -> str | None:
    """The objective of PMO that a task is about, by its name; None for other tasks.

    Example:
        >>> objective_of("pmo-amlodipine-mpo"), objective_of("pmo10k-median1"), objective_of("gfp")
        ('amlodipine_mpo', 'median1', None)
    """
    protocol, _, words = task.partition("-")
    objective = words.replace("-", "_").lower()
    return objective if protocol in ("pmo", "pmo10k") and objective in PER_TASK else None
