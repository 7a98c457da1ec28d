import json

from bsa_vision.app.landmarks import landmarks_document
from bsa_vision.chart.landmarks import LANDMARKS


def test_the_document_is_the_table() -> None:
    document = json.loads(json.dumps(landmarks_document()))
    assert document["format"] == "bsa-vision-landmarks/1"
    assert [entry["name"] for entry in document["landmarks"]] == list(LANDMARKS)
    for entry in document["landmarks"]:
        landmark = LANDMARKS[entry["name"]]
        assert entry["meaning"] == landmark.meaning
        assert entry["face"] == landmark.face
        assert tuple(entry["barycentric"]) == landmark.barycentric
