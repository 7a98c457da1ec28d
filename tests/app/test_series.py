import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from bsa_vision.app.series import read_series
from bsa_vision.chart.landmarks import parse_landmark_file
from bsa_vision.core.errors import InputError, Refused
from bsa_vision.core.labels import Label

GOOD: dict[str, Any] = {
    "format": "bsa-vision-series/1",
    "study": "STUDY",
    "patient": {
        "id": "PH-0001",
        "sex": "female",
        "age_years": 44,
        "height_cm": 165,
        "weight_kg": 62.5,
    },
    "visits": [
        {"day": 5, "photos": [{"file": "D05/a.jpg", "view": "trunk_front"}]},
        {
            "day": 0,
            "photos": [
                {
                    "file": "D00/a.jpg",
                    "view": "legs_back",
                    "landmarks": "D00/a.landmarks.json",
                    "mask": "D00/a.mask.png",
                }
            ],
        },
    ],
}


def _write(folder: Path, document: Any) -> Path:
    path = folder / "series.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def _changed(*keys: str | int, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    place: Any = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return document


@pytest.mark.parametrize("give_folder", [True, False])
def test_reads_a_series_in_order_of_day(tmp_path: Path, give_folder: bool) -> None:
    listing = _write(tmp_path, GOOD)
    series = read_series(tmp_path if give_folder else listing)
    assert series.folder == tmp_path
    assert series.study == "STUDY"
    assert (series.patient.id, series.patient.sex) == ("PH-0001", "female")
    assert (series.patient.age_years, series.patient.weight_kg) == (44.0, 62.5)
    assert [visit.day for visit in series.visits] == [0, 5]
    first = series.visits[0].photos[0]
    assert first.name == "D00/a.jpg"
    assert first.path == tmp_path / "D00" / "a.jpg"
    assert first.landmarks == tmp_path / "D00" / "a.landmarks.json"
    assert first.mask == tmp_path / "D00" / "a.mask.png"
    assert series.visits[1].photos[0].landmarks is None


def test_ignores_fields_added_by_later_versions(tmp_path: Path) -> None:
    _write(tmp_path, _changed("visits", 0, "photos", 0, "lens", value="wide"))
    assert len(read_series(tmp_path).visits) == 2


@pytest.mark.parametrize(
    ("document", "field", "got"),
    [
        (_changed("format", value="bsa-vision-series/2"), "format", "bsa-vision-series/2"),
        (_changed("patient", "sex", value="f"), "patient.sex", '"f"'),
        (_changed("patient", "age_years", value="44"), "patient.age_years", '"44"'),
        (_changed("patient", "age_years", value=True), "patient.age_years", "true"),
        (_changed("patient", "height_cm", value=1.65), "height_cm", "1.65"),
        (_changed("patient", "weight_kg", value=None), "patient.weight_kg", "null"),
        (_changed("visits", 0, "day", value=5.5), "visits[0].day", "5.5"),
        (_changed("visits", 0, "photos", value=[]), "visits[0].photos", "[]"),
        (_changed("visits", value=[]), "visits", "[]"),
        (
            _changed("visits", 0, "photos", 0, "view", value="front"),
            "visits[0].photos[0].view",
            '"front"',
        ),
        ({"format": "bsa-vision-series/1"}, "patient", "none"),
        ([1, 2], "the document", "[1, 2]"),
    ],
)
def test_message_names_field_and_what_was_got(
    tmp_path: Path, document: Any, field: str, got: str
) -> None:
    listing = _write(tmp_path, document)
    with pytest.raises(InputError) as caught:
        read_series(tmp_path)
    assert str(listing) in caught.value.reason
    assert field in caught.value.reason
    assert "need" in caught.value.reason
    assert got in caught.value.reason
    assert caught.value.remedy


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a": NaN}', "\ufeff{", '{"format": 1, "format": 2}', "[" * 100_000],
)
def test_refuses_what_is_not_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "series.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="not valid JSON"):
        read_series(tmp_path)


def test_accepts_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "series.json").write_text("\ufeff" + json.dumps(GOOD), encoding="utf-8")
    assert read_series(tmp_path).patient.id == "PH-0001"


def test_refuses_other_encodings_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_series(tmp_path)
    (tmp_path / "series.json").write_bytes(b'{"study": "\xe9"}')
    with pytest.raises(InputError, match="UTF-8"):
        read_series(tmp_path)


@pytest.mark.parametrize("field", ["file", "landmarks", "mask"])
@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../a.jpg", "D00/../../a.jpg", "C:\\a.jpg", "D00\\a.jpg", "", "a\0b"]
)
def test_refuses_paths_that_leave_the_folder(tmp_path: Path, field: str, path: str) -> None:
    _write(tmp_path, _changed("visits", 0, "photos", 0, field, value=path))
    with pytest.raises(InputError, match="inside the series folder"):
        read_series(tmp_path)


def test_refuses_a_day_or_a_photo_listed_twice(tmp_path: Path) -> None:
    _write(tmp_path, _changed("visits", 0, "day", value=0))
    with pytest.raises(InputError, match="day: needed each value once, got 0 twice"):
        read_series(tmp_path)
    _write(tmp_path, _changed("visits", 0, "photos", 0, "file", value="./D00//a.jpg"))
    with pytest.raises(InputError, match="file: needed each value once"):
        read_series(tmp_path)


def test_refuses_photos_that_would_share_a_mask(tmp_path: Path) -> None:
    photos = [{"file": f"D05/a.{end}", "view": "trunk_front"} for end in ("jpg", "png")]
    _write(tmp_path, _changed("visits", 0, "photos", value=photos))
    with pytest.raises(InputError, match=r"D05/a\.jpg and D05/a\.png .* D05/a\.png"):
        read_series(tmp_path)


def test_the_day_of_death_is_read_and_no_visit_follows_it(tmp_path: Path) -> None:
    _write(tmp_path, GOOD)
    assert read_series(tmp_path).death_day is None
    _write(tmp_path, _changed("patient", "death_day", value=5))
    assert read_series(tmp_path).death_day == 5
    _write(tmp_path, _changed("patient", "death_day", value=4))
    with pytest.raises(InputError, match=r"death_day: needed no visit after it, got 4"):
        read_series(tmp_path)
    for wrong in (-1, 4.5, "6"):
        _write(tmp_path, _changed("patient", "death_day", value=wrong))
        with pytest.raises(InputError, match="death_day"):
            read_series(tmp_path)


@pytest.mark.parametrize("identifier", ["Marie Dupont", "1982-03-17", "P_19820317", "", "x" * 65])
def test_refuses_identifiers_that_are_no_pseudonym(tmp_path: Path, identifier: str) -> None:
    _write(tmp_path, _changed("patient", "id", value=identifier))
    with pytest.raises(InputError, match="pseudonym") as caught:
        read_series(tmp_path)
    # Messages end up in logs: they must not carry the identifier on.
    assert not identifier or identifier not in str(caught.value)


@pytest.mark.parametrize("place", [(), ("patient",), ("visits", 0), ("visits", 1, "photos", 0)])
@pytest.mark.parametrize(
    "key",
    [
        *("name", "last_name", "birth_date", "date_of_birth", "DOB", "dateOfBirth", "birthYear"),
        *("first-name", "initials", "MRN", "ipp"),
    ],
)
def test_refuses_identifying_fields(tmp_path: Path, place: tuple[str | int, ...], key: str) -> None:
    _write(tmp_path, _changed(*place, key, value="secret"))
    with pytest.raises(InputError, match="identifies a person") as caught:
        read_series(tmp_path)
    assert "secret" not in str(caught.value)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    where=st.sampled_from(
        [("patient",), ("visits",), ("visits", 0), ("visits", 0, "photos", 0), ("patient", "id")]
    ),
    value=_json,
)
def test_any_document_is_read_or_refused_in_words(
    tmp_path_factory: pytest.TempPathFactory, where: tuple[str | int, ...], value: Any
) -> None:
    folder = tmp_path_factory.mktemp("series")
    _write(folder, _changed(*where, value=value))
    # Anything but a series or an InputError fails the test.
    with contextlib.suppress(InputError):
        assert read_series(folder).patient.id


def test_the_example_annotation_is_a_series_as_described() -> None:
    series = read_series(Path(__file__).parents[2] / "annotations" / "example")
    (photo,) = series.visits[0].photos
    assert photo.mask is not None
    assert photo.landmarks is not None
    with Image.open(photo.path) as image, Image.open(photo.mask) as mask:
        assert mask.mode == "L"
        assert mask.size == ImageOps.exif_transpose(image).size
        assert {int(code) for code in np.unique(np.asarray(mask))} <= {int(c) for c in Label}
    landmarks = parse_landmark_file(photo.landmarks)
    assert not isinstance(landmarks, Refused)
    assert len(landmarks) >= 4


def test_reads_the_shared_series(data_dir: Path) -> None:
    series = read_series(data_dir / "phantom_series")
    assert [visit.day for visit in series.visits] == [0, 5, 7, 10, 15]
    assert all(photo.path.is_file() for visit in series.visits for photo in visit.photos)
