import json
from pathlib import Path
from typing import Any

import pytest

from bsa_vision.app import demo
from bsa_vision.app.progress import silent
from bsa_vision.app.score import SeriesOutcome


def test_the_demo_scores_what_it_rendered_with_the_networks_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def render(out: Path, **_: Any) -> Path:
        shares = {"detached": 4.0, "detachable": 1.5, "erythema": 9.0}
        visit = {"day": 5, "percent_if_no_dressing": shares}
        (out / "truth").mkdir(parents=True)
        (out / "truth" / "truth.json").write_text(json.dumps({"visits": [visit]}))
        return out / "series.json"

    def score(series: list[Path], out: Path, **options: Any) -> list[SeriesOutcome]:
        seen.update(series=series, **options)
        return [SeriesOutcome(series[0], out / series[0].name, "done", None, None)]

    monkeypatch.setattr(demo, "render_phantom", render)
    monkeypatch.setattr(demo, "score_many", score)
    done = demo.run_demo(tmp_path, silent)
    assert done.outcome.out == tmp_path / "results" / demo.SERIES_NAME
    assert done.true_counted_bsa == {5: 5.5}
    # The true masks lie beside the photos; the demo must not be scored with them.
    assert seen["masks"] == "model"
    assert seen["overwrite"]
