"""Docking with AutoDock Vina as a costly reward: several processes, several seeds, a time limit."""

from __future__ import annotations

import math
import queue
import statistics
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

from seiko.errors import ParameterError
from seiko.oracles.base import refuse_one_string
from seiko.oracles.docking_process import DockingProcess
from seiko.oracles.ligands import LigandLimits
from seiko.oracles.receptors import Receptor
from seiko.records import Observation, TrialState

SMALLEST_NOISE = 0.05
"""Least standard deviation told for the mean of replicates, in kcal/mol: few may agree by chance."""


@dataclass(frozen=True)
class Fidelity:
    """How long Vina searches.

    Args:
        exhaustiveness: Independent searches; 8 is Vina's default.
        max_evals: Most evaluations of the score in each; 0 leaves it to Vina, by the size of the ligand.

    Raises:
        ParameterError: If `exhaustiveness` is below 1 or `max_evals` below 0.
    """

    exhaustiveness: int = 8
    max_evals: int = 0

    def __post_init__(self) -> None:
        for name, least in (("exhaustiveness", 1), ("max_evals", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ParameterError(f"`{name}` must be an integer, at least {least}; got {value!r}.")


QUICK = Fidelity(exhaustiveness=1, max_evals=20_000)
FULL = Fidelity(exhaustiveness=8)


@dataclass(frozen=True)
class Docked:
    """What became of one molecule.

    Attributes:
        smiles: The molecule.
        energies: Best energy in kcal/mol by seed, of the runs that ended.
        poses: Best pose by seed, as PDBQT.
        faults: Why other runs have no energy, by seed; first what is told where no run has one.
        is_infeasible: Whether that is a property of the molecule: the limits refuse it, or all seeds find so.
        seconds: Computing time of all runs.
    """

    smiles: str
    energies: dict[int, float] = field(default_factory=dict)
    poses: dict[int, str] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)
    is_infeasible: bool = False
    seconds: float = 0.0

    @property
    def best_pose(self) -> str:
        """The pose of lowest energy, as PDBQT; "" where there is none."""
        seed = min(self.energies, key=lambda s: self.energies[s], default=None)
        return "" if seed is None else self.poses[seed]

    def observation(self) -> Observation:
        """The reward ``-mean energy`` in kcal/mol with its standard error, or the reason why there is none.

        It is infeasible where the limits refuse the structure, or every seed found it infeasible: a best pose
        not below 0, for instance, does not fit into the box. Otherwise a seed that failed makes it failed.
        """
        fault = next(iter(self.faults.values()), "")
        if not self.energies:
            return Observation.infeasible(fault) if self.is_infeasible else Observation.failed(fault)
        values = list(self.energies.values())
        mean = statistics.fmean(values)
        noise = None
        if len(values) > 1:
            noise = max(statistics.stdev(values) / math.sqrt(len(values)), SMALLEST_NOISE)
        note = " ".join(f"seed {seed}: {energy:.3f}" for seed, energy in self.energies.items())
        lost = f"; {len(self.faults)} runs without result: {fault}" if self.faults else ""
        return Observation(-mean, noise_std=noise, note=note + lost)


def fitting(answer: dict[str, Any]) -> dict[str, Any]:
    """A worker's answer; a pose that is not below 0 kcal/mol is none."""
    if answer.get("energy", -1.0) < 0:
        return answer
    reason = f"it does not fit into the box: best pose {answer['energy']:.1f} kcal/mol"
    return {"infeasible": reason, "seconds": answer["seconds"]}


class Docking:
    """Feedback that docks molecules, given as SMILES, into one receptor.

    Each process computes the receptor's maps once for each seed and keeps them. A run over its time is ended
    with its process, which is replaced; only that run is lost. What cannot be docked is infeasible (its
    structure: unreadable, a salt, an element without parameters, too large, no 3-D structure) or failed (a
    time-out, a crash); it never has a value. Results depend on molecule, seed and fidelity alone, not on the
    number of processes or the order.

    Args:
        receptor: Protein and box.
        fidelity: How long Vina searches.
        seeds: One run each, with its own start conformer: replicates, of which the mean is told.
        processes: How many runs at once, each on one core.
        timeout: Seconds for one run.
        limits: Which molecules are docked at all.

    Raises:
        ParameterError: If a setting is outside what is allowed.

    Example:
        >>> from seiko.oracles.receptors import load_receptor
        >>> with Docking(load_receptor("parp1"), seeds=(1, 2), processes=2) as feedback:  # doctest: +SKIP
        ...     run(campaign, feedback)
    """

    def __init__(
        self,
        receptor: Receptor,
        *,
        fidelity: Fidelity = QUICK,
        seeds: Sequence[int] = (1,),
        processes: int = 1,
        timeout: float = 120.0,
        limits: LigandLimits | None = None,
    ) -> None:
        seeds = tuple(seeds)
        if not seeds or len(set(seeds)) < len(seeds) or not all(isinstance(s, int) and s > 0 for s in seeds):
            raise ParameterError(f"`seeds` must be different integers above 0; got {seeds}.")
        if not (isinstance(processes, int) and processes >= 1):
            raise ParameterError(f"`processes` must be an integer, at least 1; got {processes!r}.")
        if not (timeout > 0 and math.isfinite(timeout)):
            raise ParameterError(f"`timeout` must be a finite number of seconds above 0; got {timeout!r}.")
        self.receptor, self.fidelity, self.seeds, self.timeout = receptor, fidelity, seeds, timeout
        self.outcomes: Counter[str] = Counter()
        self._pool = [DockingProcess(self._config(limits or LigandLimits())) for _ in range(processes)]

    def _config(self, limits: LigandLimits) -> dict[str, Any]:
        return {
            "pdbqt": self.receptor.pdbqt,
            "center": self.receptor.center,
            "size": self.receptor.size,
            "seeds": self.seeds,
            "fidelity": asdict(self.fidelity),
            "rules": asdict(limits.rules),
            "max_torsions": limits.max_torsions,
        }

    def evaluate(self, designs: Sequence[str]) -> list[Observation]:
        """One observation a design; `outcomes` counts them by state, and by reason without a value."""
        observations = [docked.observation() for docked in self.dock(designs)]
        for observation in observations:
            self.outcomes[observation.state.value] += 1
            if observation.state is not TrialState.COMPLETE:
                self.outcomes[f"{observation.state.value}: {observation.note}"] += 1
        return observations

    def dock(self, designs: Sequence[str]) -> list[Docked]:
        """Energies and poses of each design, in their order.

        Raises:
            ParameterError: If the designs are one string, or Vina cannot use the receptor.
            MissingDependencyError: If vina or meeko is not installed.
        """
        refuse_one_string(designs)
        results = [Docked(str(design)) for design in designs]
        jobs: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
        for row in range(len(designs)):
            for seed in self.seeds:
                jobs.put((row, seed))
        answers: dict[tuple[int, int], dict[str, Any]] = {}
        errors: list[BaseException] = []

        def work(process: DockingProcess) -> None:
            try:
                while not errors:
                    row, seed = jobs.get_nowait()
                    job = {"smiles": results[row].smiles, "seed": seed}
                    answers[row, seed] = process.answer(job, self.timeout)
            except queue.Empty:
                pass
            except BaseException as error:  # told to the caller's thread
                errors.append(error)

        busy = self._pool[: max(1, jobs.qsize())]
        threads = [threading.Thread(target=work, args=(process,), daemon=True) for process in busy]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            self.close()
            raise
        if errors:
            raise errors[0]
        return [self._merged(docked, row, answers) for row, docked in enumerate(results)]

    def _merged(self, docked: Docked, row: int, answers: dict[tuple[int, int], dict[str, Any]]) -> Docked:
        own = {seed: fitting(answers[row, seed]) for seed in self.seeds}
        good = {seed: a for seed, a in own.items() if "energy" in a}
        lost = {seed: a for seed, a in own.items() if seed not in good}
        is_infeasible = not good and (
            all("infeasible" in a for a in lost.values()) or any(a.get("refused") for a in lost.values())
        )
        decisive = sorted(lost, key=lambda seed: ("infeasible" in lost[seed]) != is_infeasible)
        return Docked(
            docked.smiles,
            {seed: a["energy"] for seed, a in good.items()},
            {seed: a["pose"] for seed, a in good.items()},
            {seed: lost[seed].get("infeasible") or lost[seed]["failed"] for seed in decisive},
            is_infeasible,
            sum(a.get("seconds", 0.0) for a in own.values()),
        )

    def close(self) -> None:
        """End the processes; a later call starts new ones."""
        for process in self._pool:
            process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
