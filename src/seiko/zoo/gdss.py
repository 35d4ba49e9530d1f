"""GDSS on ZINC250k: the published weights in our networks, as a chain with its domain.

The weights are those of Jo, Lee & Hwang (ICML 2022) with GMH blocks, published under the MIT licence with
MOOD (Lee, Jo & Hwang, ICML 2023). They are not part of this package.
"""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seiko.chains.gaussian import Epsilon, Score, VarianceExploding, VariancePreserving
from seiko.chains.graph_sde import GraphSDE, GraphSDEChain, zero_headed
from seiko.chains.graph_steps import GraphNoise, Solver
from seiko.checkpoints import load_weights, read_tensors, tensors_to_bytes, write_atomically
from seiko.data import cache_folder
from seiko.domains.base import Domain
from seiko.domains.graph_molecule import ContinuousGraph, graph_molecule_domain
from seiko.errors import WeightsError
from seiko.networks.gdss import GDSSNetwork

PUBLISHED_SHA256 = "eece95ad54a98737e0a4da4b9fc968d974748f3a25103544bd606b344cabf1a7"
"""Of ``checkpoints/ZINC250k/gdss_zinc250k_v2.pth`` in github.com/SeulLee05/MOOD."""


def cached_weights() -> Path:
    """Where converted weights are kept: beside the data of `seiko.data.cache_folder`."""
    return cache_folder().parent / "gdss-zinc250k.safetensors"


def convert(published: str | Path, target: str | Path | None = None) -> Path:
    """Read the published checkpoint once, with torch's restricted reader, and keep it as safetensors.

    Args:
        published: The file ``gdss_zinc250k_v2.pth``.
        target: Where to write; `cached_weights` if None.

    Raises:
        WeightsError: If the file is missing or is not the published one.
    """
    published = Path(published)
    if not published.is_file():
        raise WeightsError(
            f"There is no checkpoint {published}.",
            hint="Get checkpoints/ZINC250k/gdss_zinc250k_v2.pth of github.com/SeulLee05/MOOD (MIT).",
        )
    content = published.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != PUBLISHED_SHA256:
        raise WeightsError(
            f"{published} has sha256 {digest}, not {PUBLISHED_SHA256} of the published checkpoint.",
            hint="Get checkpoints/ZINC250k/gdss_zinc250k_v2.pth of github.com/SeulLee05/MOOD.",
        )
    # Its settings are of a foreign dict type, read here as an ordered dict: tensors and plain values only.
    with torch.serialization.safe_globals([(OrderedDict, "easydict.EasyDict")]):
        given = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    tensors = renamed(given["x_state_dict"], "node") | renamed(given["adj_state_dict"], "edge")
    load_weights(GDSSNetwork(), tensors, source=str(published))
    target = Path(target or cached_weights())
    source = {"source_sha256": digest, "source": "github.com/SeulLee05/MOOD", "licence": "MIT"}
    write_atomically(target, tensors_to_bytes(tensors, source))
    return target


def renamed(published: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Published names of one network to those of `GDSSNetwork`: convolutions of a layer side by side.

    Args:
        published: State dict of the network of nodes or of edges.
        part: "node" or "edge".
    """
    found = {}
    for layer in range(1 + max(int(name.split(".")[1]) for name in published if name.startswith("layers."))):
        old, new = f"layers.{layer}.", f"{part}_layers.{layer}."
        channels = 1 + max(int(name.split(".")[3]) for name in published if name.startswith(f"{old}attn."))
        for kind, name in (("weight", "projection"), ("bias", "bias")):
            found[new + name] = torch.stack(
                [
                    torch.cat([published[f"{old}attn.{channel}.gnn_{use}.{kind}"] for use in "qkv"], -1)
                    for channel in range(channels)
                ]
            )
        found |= _linears(published, f"{old}mlp", f"{new}matrices_out")
        found |= _linears(published, f"{old}multi_channel", f"{new}nodes_out")
    return found | _linears(published, "final", f"{part}_head")


def _linears(published: Mapping[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    """``old.linears.i`` to ``new.2i``: the activations stand between."""
    found = {}
    for name, tensor in published.items():
        if name.startswith(f"{old}.linears."):
            place, kind = name.removeprefix(f"{old}.linears.").split(".")
            found[f"{new}.{2 * int(place)}.{kind}"] = tensor
    return found


def gdss_process(diffusion_steps: int = 300, solver: Solver = "splitting") -> GraphSDE:
    """The published noise of both leaves, and steps fewer than published (``docs/gdss.md``)."""
    nodes = GraphNoise(VariancePreserving(0.1, 1.0), Epsilon(), floor=0.05)
    edges = GraphNoise(VarianceExploding(0.2, 1.0), Score(), floor=0.05)
    return GraphSDE(38, 9, nodes, edges, diffusion_steps, solver)


def load_gdss(
    weights: str | Path | None = None,
    *,
    diffusion_steps: int = 300,
    solver: Solver = "splitting",
    start_steps: int = 8,
    seed: int = 0,
) -> tuple[GraphSDEChain, Domain[str]]:
    """The pre-trained chain and its domain of molecules.

    Args:
        weights: The published ``.pth``, or a file that `convert` made; `cached_weights` if None.
        diffusion_steps: Noise levels; fewer are faster.
        solver: See `GraphSDE`.
        start_steps: Steps of a learned start, which leave the pre-trained law as it is; 0 for a frozen start,
            whose fine-tuned law is biased (``docs/gdss.md``).
        seed: Of the start network's inner weights.

    Raises:
        WeightsError: If the weights are missing, damaged or of another network.
    """
    path = Path(weights or cached_weights())
    if not path.is_file():
        raise WeightsError(
            f"There are no GDSS weights at {path}; they are not part of the package.",
            hint="Give `weights=` the published gdss_zinc250k_v2.pth, or `seiko.zoo.gdss.convert` it once.",
        )
    if path.suffix != ".safetensors":
        path = convert(path)
    network = GDSSNetwork()
    load_weights(network, read_tensors(path)[0], source=str(path))
    chain = GraphSDEChain(
        network,
        gdss_process(diffusion_steps, solver),
        start=_start_network(seed) if start_steps else None,
        start_steps=start_steps,
    )
    return chain, graph_molecule_domain(ContinuousGraph())


def _start_network(seed: int) -> Any:
    """A small network of the same kind that gives 0; its inner weights depend on `seed` alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return zero_headed(GDSSNetwork(node_layers=1, edge_layers=2))
