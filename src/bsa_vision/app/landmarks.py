"""The landmark table as a document other programs can read."""

from typing import Any

from bsa_vision.chart.landmarks import LANDMARKS

LANDMARKS_FORMAT = "bsa-vision-landmarks/1"


def landmarks_document() -> dict[str, Any]:
    """Name, meaning, face (of the Anny default topology) and three weights of every landmark."""
    return {
        "format": LANDMARKS_FORMAT,
        "landmarks": [
            {
                "name": landmark.name,
                "meaning": landmark.meaning,
                "face": int(landmark.face),
                "barycentric": [float(weight) for weight in landmark.barycentric],
            }
            for landmark in LANDMARKS.values()
        ],
    }
