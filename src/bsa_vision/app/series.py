"""The series folder at the boundary: `series.json` becomes checked records.

What is wrong with the list itself (a missing field, a name instead of a pseudonym, a path that
leaves the folder) stops the command with an `InputError`. A photo that is listed but absent does
not: it is refused later, by name, and the others are scored.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bsa_vision.chart.patient import Patient, patient_problem
from bsa_vision.core.errors import InputError
from bsa_vision.core.views import View

SERIES_FORMAT = "bsa-vision-series/1"

#: Fields that identify a person, in lower case without "_" and "-"; none may be in a series.
_IDENTIFYING = re.compile(
    r"(first|last|family|given|sur|full|patient)?name|initials|birth(date|day|year)|(date|day|year)ofbirth"
    r"|dob|address|(tele)?phone|email|socialsecurity.*|ssn|nir|ipp|mrn|medicalrecordnumber"
)
#: The list of a whole stay is a few hundred kilobytes at most.
_MAX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class PhotoEntry:
    """One listed photo.

    Attributes
    ----------
    name : path as listed, relative to the series folder, with forward slashes.
    path : where the photo lies.
    view : one of the twenty views; left and right are the patient's.
    landmarks, mask : where they lie, or None where none is listed.
    """

    name: str
    path: Path
    view: str
    landmarks: Path | None
    mask: Path | None

    @property
    def mask_name(self) -> str:
        """Path of the mask that is written for it, relative to the folder of masks."""
        return str(PurePosixPath(self.name).with_suffix(".png"))


@dataclass(frozen=True)
class Visit:
    """The photos of one day, counted from the infusion (D0)."""

    day: int
    photos: tuple[PhotoEntry, ...]


@dataclass(frozen=True)
class Series:
    """One patient's visits in order of day.

    Attributes
    ----------
    folder : of the list, which paths are relative to.
    study, patient, visits : as listed.
    death_day : day of death, counted from the infusion, or None.
    """

    folder: Path
    study: str
    patient: Patient
    visits: tuple[Visit, ...]
    death_day: int | None


class _Part(BaseModel):
    # Fields added by later versions of the format are allowed and not read.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


class _PatientPart(_Part):
    id: str
    sex: Literal["female", "male"]
    age_years: float
    height_cm: float
    weight_kg: float
    death_day: Annotated[int, Field(ge=0, le=3650)] | None = None


class _PhotoPart(_Part):
    file: str
    view: View
    landmarks: str | None = None
    mask: str | None = None


class _VisitPart(_Part):
    day: Annotated[int, Field(ge=-30, le=3650)]
    photos: Annotated[list[_PhotoPart], Field(min_length=1)]


class _SeriesPart(_Part):
    format: Literal["bsa-vision-series/1"]
    study: str = ""
    patient: _PatientPart
    visits: Annotated[list[_VisitPart], Field(min_length=1)]


def read_series(path: Path) -> Series:
    """Read and check a series folder's list.

    Parameters
    ----------
    path : the series folder, or its ``series.json``.

    Raises
    ------
    InputError
        Naming the field, what was needed and what was got.
    """
    listing = path / "series.json" if path.is_dir() else path
    document = _read_json(listing)
    _refuse_identifying_fields(document, listing)
    try:
        parsed = _SeriesPart.model_validate(document)
    except ValidationError as error:
        raise _input_error(error, listing) from None
    patient = _patient(parsed.patient, listing)
    _check_unique([visit.day for visit in parsed.visits], "visits: day", listing)
    _check_unique(
        [_plain(photo.file) for visit in parsed.visits for photo in visit.photos],
        "visits: photos: file",
        listing,
    )
    folder = listing.parent
    visits = tuple(
        Visit(day=visit.day, photos=tuple(_entry(photo, folder) for photo in visit.photos))
        for visit in sorted(parsed.visits, key=lambda visit: visit.day)
    )
    _check_masks_apart([photo for visit in visits for photo in visit.photos], listing)
    death_day = parsed.patient.death_day
    if death_day is not None and visits[-1].day > death_day:
        reason = (
            f"{listing}: patient.death_day: needed no visit after it, got {death_day} "
            f"and a visit on day {visits[-1].day}."
        )
        raise InputError(reason, "Correct the day of death or of the visit.")
    return Series(folder, parsed.study, patient, visits, death_day)


def _read_json(path: Path) -> Any:
    """Parse a JSON file; a repeated key or NaN is an error, not a silent last-one-wins."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            reason = f"{path}: needed a list of at most {_MAX_BYTES >> 20} MiB, got more."
            raise InputError(reason, "Check that this is the right file.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        reason = f"{path}: there is no such file."
        raise InputError(reason, "Give the folder that holds series.json.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = f"{path}: cannot be read as UTF-8 text: {error}."
        raise InputError(reason, "Save it as UTF-8.") from None
    try:
        return json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = f"{path}: is not valid JSON: {error}."
        raise InputError(reason, "Correct the file.") from None


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        msg = f"the key {repeated!r} appears twice in one object"
        raise ValueError(msg)
    return found


def _no_constant(text: str) -> float:
    msg = f"{text} is not a number JSON knows"
    raise ValueError(msg)


def _refuse_identifying_fields(document: Any, listing: Path) -> None:
    parts = [document]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, dict):
            parts += part.values()
            for key in part:
                if _IDENTIFYING.fullmatch(re.sub("[_-]", "", key.lower())):
                    reason = f"{listing}: the field {key!r} identifies a person."
                    remedy = (
                        "Remove it: a series carries a pseudonym and an age, no name or birth date."
                    )
                    raise InputError(reason, remedy)


def _patient(part: _PatientPart, listing: Path) -> Patient:
    patient = Patient(
        id=part.id,
        sex=part.sex,
        age_years=part.age_years,
        height_cm=part.height_cm,
        weight_kg=part.weight_kg,
    )
    problem = patient_problem(patient)
    if problem is not None:
        reason = f"{listing}: patient: {problem.reason}"
        raise InputError(reason, problem.remedy)
    return patient


def _check_unique(values: list[Any], field: str, listing: Path) -> None:
    seen = set()
    for value in values:
        if value in seen:
            reason = f"{listing}: {field}: needed each value once, got {_shown(value)} twice."
            raise InputError(reason, "Merge or remove the second entry.")
        seen.add(value)


def _check_masks_apart(photos: list[PhotoEntry], listing: Path) -> None:
    by_mask: dict[str, PhotoEntry] = {}
    for photo in photos:
        other = by_mask.setdefault(photo.mask_name, photo)
        if other is not photo:
            reason = (
                f"{listing}: {other.name} and {photo.name} would both give the mask "
                f"{photo.mask_name}."
            )
            raise InputError(reason, "Rename one of the photos.")


def _entry(photo: _PhotoPart, folder: Path) -> PhotoEntry:
    return PhotoEntry(
        name=_plain(photo.file),
        path=_inside(folder, photo.file),
        view=photo.view,
        landmarks=None if photo.landmarks is None else _inside(folder, photo.landmarks),
        mask=None if photo.mask is None else _inside(folder, photo.mask),
    )


def _plain(listed: str) -> str:
    """The listed path without "./" and doubled slashes, so that one file has one spelling."""
    return str(PurePosixPath(listed))


def _inside(folder: Path, listed: str) -> Path:
    relative = PurePosixPath(listed)
    outside = relative.is_absolute() or ".." in relative.parts or "\\" in listed or ":" in listed
    if outside or not relative.parts or "\0" in listed:
        reason = (
            f"{folder / 'series.json'}: needed a path inside the series folder with forward "
            f"slashes, got {_shown(listed)}."
        )
        raise InputError(reason, "Move the file into the folder and list its relative path.")
    return folder / relative


def _input_error(error: ValidationError, listing: Path) -> InputError:
    problems = error.errors(include_url=False)
    lines = [
        f"{_field(problem['loc'])}: {_needed(problem)}, got {_got(problem)}"
        for problem in problems[:3]
    ]
    more = len(problems) - len(lines)
    if more:
        lines.append(f"and {more} more")
    reason = f"{listing}: {'; '.join(lines)}."
    return InputError(reason, "Correct the list and run again.")


def _field(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "the document"


def _needed(problem: Any) -> str:
    if problem["type"] == "missing":
        return "needed this field"
    return "needed " + str(problem["msg"]).removeprefix("Input should be ").removeprefix("a ")


def _got(problem: Any) -> str:
    return "none" if problem["type"] == "missing" else _shown(problem["input"])


def _shown(value: Any) -> str:
    """A value in a message: JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
