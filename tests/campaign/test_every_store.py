"""One suite for every place that keeps campaigns and their artifacts."""

from __future__ import annotations

import pytest

from seiko.testing import check_store


def test_the_campaigns_own_artifacts(place):
    check_store(place)


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_artifacts_elsewhere(place, kind, tmp_path):
    where = tmp_path / "weights" if kind == "folder" else f"memory://seiko-{id(tmp_path)}"
    check_store(place, artifacts=str(where))
