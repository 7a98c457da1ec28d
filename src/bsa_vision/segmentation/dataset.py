"""The training folder: images, masks, classes, splits by patient.

Format: ``images/NAME.(jpg|png|tif|heic)``, ``masks/NAME.png`` (uint8 codes of the photo's size as
it is displayed), ``dataset.json``::

    {"classes": {"0": "background", "1": "wound"},
     "split": {"train": ["NAME"], "val": [], "test": []},     # optional
     "patients": {"NAME": "P1"},                              # optional
     "labels": {"wound": "detached", ...},                    # optional
     "groups": {"NAME": {"skin_tone": "Monk 04"}}}            # optional

Without a split one is drawn by patient; without patients every image is its own. `labels` says
which of the measuring chain's labels each own class is: the model then has the chain's classes and
can score series. `groups` are what results are told apart by.

An image that has no mask, or cannot be used with it, is left out and named; the others go on.
"""

import hashlib
import json
from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

from bsa_vision.core.errors import InputError, Refused
from bsa_vision.core.provenance import sha256_hex
from bsa_vision.photo.admission import DECODER_ERRORS
from bsa_vision.photo.containers import HEAD_BYTES, PHOTO_SUFFIXES, recognise
from bsa_vision.segmentation.card import SKIN_CLASSES, file_sha256
from bsa_vision.segmentation.mask_file import read_mask

Pixels = NDArray[np.uint8]
#: EXIF tag; its values from 5 on swap width and height.
_ORIENTATION = 0x0112
PARTS = ("train", "val", "test")
#: Share of the patients drawn into each part when the folder brings no split.
DRAWN_SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
#: Class index of pixels whose mask code is not listed; losses and metrics leave it out.
IGNORED = 255


@dataclass(frozen=True)
class TrainingFolder:
    """A checked training folder.

    Attributes
    ----------
    root : the folder.
    classes : code -> class name, by ascending code; the order is that of the model's channels.
    images, masks : NAME -> file.
    split : part -> names, each name in one part.
    patients : NAME -> patient; `patients_given` says whether the folder told them, else every
        image counts as a patient of its own.
    recode : code in the mask files -> code, where the classes are mapped to the chain's labels.
    groups : NAME -> what it belongs to, such as ``{"skin_tone": "Monk 04", "view": "head"}``.
    left_out : NAME -> why the image is not used.
    sources : NAME -> SHA-256 of the photo that an image was made from.
    """

    root: Path
    classes: Mapping[int, str]
    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    split: Mapping[str, tuple[str, ...]]
    patients: Mapping[str, str]
    patients_given: bool = True
    recode: Mapping[int, int] | None = None
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def patients_of(self, part: str, left_out: Container[str] = ()) -> set[str]:
        """The patients in a part of the split."""
        return {self.patients[name] for name in self.split[part] if name not in left_out}

    def size(self, name: str) -> tuple[int, int]:
        """(width, height) of an image, from its header."""
        return _stored_size(self.masks[name])

    def read(self, name: str) -> tuple[Pixels, Pixels]:
        """One image (H, W, 3) sRGB and its mask (H, W) of codes, both uint8.

        Raises
        ------
        InputError
            When either cannot be decoded or their sizes differ.
        """
        image = cv2.imread(str(self.images[name]), cv2.IMREAD_COLOR_RGB)
        if image is None:
            msg = f"{self.root}: the image of {name!r} cannot be decoded."
            raise InputError(msg, "Replace the file or take the name out of the folder.")
        mask = self.read_codes(name)
        if image.shape[:2] != mask.shape:
            msg = f"{self.root}: {name!r} is {image.shape[:2]} but its mask is {mask.shape}."
            raise InputError(msg, "Masks must have the size of their images.")
        return np.asarray(image, np.uint8), mask

    def read_codes(self, name: str) -> Pixels:
        """The mask (H, W) of an image alone.

        Raises
        ------
        InputError
            When it cannot be decoded or is no mask of codes.
        """
        mask = self.stored_codes(name)
        return mask if self.recode is None else recoded(mask, self.recode)

    def stored_codes(self, name: str) -> Pixels:
        """The mask (H, W) of an image in the codes of its file; raises as `read_codes`."""
        mask = read_mask(self.masks[name])
        if isinstance(mask, Refused):
            msg = f"{self.root}: the mask of {name!r} cannot be decoded: {mask.reason}"
            raise InputError(msg, "Replace the file or take the name out of the folder.")
        return mask

    def photo_digests(self) -> tuple[str, ...]:
        """The first 16 hexadecimals of the SHA-256 of every photo, sorted: to know them again."""
        digests = (
            self.sources.get(name) or file_sha256(path) for name, path in self.images.items()
        )
        return tuple(sorted({digest[:16] for digest in digests}))

    def digest(self) -> str:
        """SHA-256 over names, contents, classes and split."""
        whole = hashlib.sha256()
        header: dict[str, Any] = {
            "classes": {str(c): n for c, n in self.classes.items()},
            "split": {part: list(names) for part, names in self.split.items()},
        }
        if self.recode is not None:
            header["recode"] = {str(own): str(code) for own, code in self.recode.items()}
        whole.update(json.dumps(header, sort_keys=True).encode())
        for name in sorted(self.images):
            for path in (self.images[name], self.masks[name]):
                whole.update(f"{name} {file_sha256(path)}\n".encode())
        return whole.hexdigest()


def split_by_patient(
    patients: Mapping[str, str], seed: int = 0, shares: Mapping[str, float] = DRAWN_SHARES
) -> dict[str, tuple[str, ...]]:
    """Draw train, val and test so that no patient is in two of them.

    A digest of the patient decides, not who else is there: photos that come later leave earlier
    patients in their parts, so a model trained further is not tried on what it knows. A part that
    would be empty gets a patient of the fullest one, which keeps at least one; the train part is
    never empty.
    """
    place = {
        patient: int(sha256_hex(f"{seed} {patient}".encode())[:12], 16) / 16**12
        for patient in set(patients.values())
    }
    ends = np.cumsum([shares[part] for part in PARTS])[:-1]
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for patient in sorted(place, key=lambda patient: (place[patient], patient)):
        parts[PARTS[int(np.searchsorted(ends, place[patient], "right"))]].append(patient)
    for part in PARTS:
        fullest = max(parts.values(), key=len)
        if not parts[part] and (part == PARTS[0] or len(fullest) > 1):
            parts[part].append(fullest.pop(0 if part == PARTS[0] else -1))
    owner = {patient: part for part, members in parts.items() for patient in members}
    return {
        part: tuple(sorted(name for name, patient in patients.items() if owner[patient] == part))
        for part in PARTS
    }


def read_training_folder(root: Path) -> TrainingFolder:
    """Read and check a training folder.

    Raises
    ------
    InputError
        When the description is missing or contradicts the files, or a patient is in two parts.
    """
    document = read_description(root)
    classes, recode = parse_classes(root, document)
    images, left_out = _listed_images(root)
    _check_names(root, document, {*images, *left_out})
    masks = {
        path.stem: path for path in (root / "masks").glob("*") if path.suffix.lower() == ".png"
    }
    for name, path in images.items():
        if reason := _unusable(path, masks.get(name)):
            left_out[name] = reason
    images = {name: path for name, path in images.items() if name not in left_out}
    if not images:
        what = next(iter(left_out.values()), "there are no images")
        msg = f"{root}: {what}."
        raise InputError(msg, "A training folder holds images/NAME.jpg and masks/NAME.png.")
    given_patients = document.get("patients") or {}
    patients = {name: str(given_patients.get(name, name)) for name in images}
    given_split = document.get("split")
    if given_split is None:
        split = split_by_patient(patients)
    else:
        split = {
            part: tuple(name for name in given_split.get(part, ()) if name in images)
            for part in PARTS
        }
    _check_split(root, split, patients)
    groups = {
        name: {str(kind): str(group) for kind, group in found.items()}
        for name, found in (document.get("groups") or {}).items()
    }
    return TrainingFolder(
        root=root,
        classes=classes,
        images=images,
        masks={name: masks[name] for name in images},
        split=split,
        patients=patients,
        patients_given=all(name in given_patients for name in images),
        recode=recode,
        groups=groups,
        left_out=left_out,
        sources=document.get("sources") or {},
    )


def _listed_images(root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Images by name, and the files that cannot be one.

    Raises
    ------
    InputError
        When two images share a name, and so a mask.
    """
    images: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    for path in sorted((root / "images").glob("*")):
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            left_out[path.stem] = f"images/{path.name} is no photo by its name"
        elif path.stem in images:
            msg = f"{root}: {images[path.stem].name} and {path.name} would share a mask."
            raise InputError(msg, "Rename one of them and its mask.")
        else:
            images[path.stem] = path
    return images, {name: why for name, why in left_out.items() if name not in images}


def _check_names(root: Path, document: Mapping[str, Any], known: Set[str]) -> None:
    """Refuse a description that speaks of images that are not there, or in another form."""
    split = document.get("split") or {}
    tables = {key: document.get(key) or {} for key in ("split", "patients", "groups", "sources")}
    for key, table in tables.items():
        if not isinstance(table, dict):
            msg = f"{root}/dataset.json: {key} must be an object, got {type(table).__name__}."
            raise InputError(msg, "Correct the file.")
    if unknown := sorted(set(split) - set(PARTS)):
        msg = f"{root}/dataset.json: the split has a part {unknown[0]!r}."
        raise InputError(msg, f"Its parts are {', '.join(PARTS)}.")
    for name, groups in tables["groups"].items():
        if not isinstance(groups, dict):
            msg = f"{root}/dataset.json: the groups of {name!r} must be an object, got {groups!r}."
            raise InputError(msg, 'Write them as {"kind": "group"}, such as {"view": "head"}.')
    named = {
        "split": {name for names in split.values() for name in names},
        **{key: set(tables[key]) for key in ("patients", "groups", "sources")},
    }
    for key, names in named.items():
        if unknown := sorted(names - known):
            msg = f"{root}/dataset.json: {key} names {unknown[0]!r}, which is not in images/."
            raise InputError(msg, "Names are those of the files, without their endings.")


def _unusable(image: Path, mask: Path | None) -> str | None:
    """Why an image cannot be used with its mask, from what their headers say; None when it can."""
    if mask is None:
        return f"there is no mask for {image.stem!r}"
    sizes = []
    for path, read_size in ((image, _displayed_size), (mask, _stored_size)):
        try:
            sizes.append(read_size(path))
        except DECODER_ERRORS:
            return f"{path.parent.name}/{path.name} cannot be decoded"
    if sizes[0] != sizes[1]:
        (w, h), (mask_w, mask_h) = sizes
        return f"{image.stem!r} is {w}x{h} but its mask is {mask_w}x{mask_h}"
    return None


def _stored_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture, from its header."""
    with Image.open(path) as picture:
        return picture.size


def _displayed_size(path: Path) -> tuple[int, int]:
    """(width, height) of a photo turned upright, from its header."""
    with path.open("rb") as file:
        if recognise(file.read(HEAD_BYTES)) == "HEIC":
            # Upright by the container's own rotation, which EXIF's only repeats.
            width, height = pillow_heif.open_heif(path).size
            return int(width), int(height)
    with Image.open(path) as picture:
        # Pillow tells the size of a TIFF image as turned already.
        turned = picture.format != "TIFF" and picture.getexif().get(_ORIENTATION, 1) >= 5
        return picture.size[::-1] if turned else picture.size


def check_codes(folder: TrainingFolder) -> dict[str, str]:
    """Check every mask's codes before hours of training depend on them.

    A mask without any pixel of a class is fine; a class without any in the train part is not.

    Returns
    -------
    NAME -> why, of images whose mask cannot be decoded after all.

    Raises
    ------
    InputError
        When a mask holds a code that is no class, no mask of the train part can be decoded, or the
        train part lacks a class altogether.
    """
    met = np.zeros(256, np.int64)
    listed = folder.classes if folder.recode is None else folder.recode
    unreadable: dict[str, str] = {}
    for part, names in folder.split.items():
        for name in names:
            try:
                codes = folder.stored_codes(name)
            except InputError as error:
                unreadable[name] = str(error)
                continue
            counts = np.bincount(codes.ravel(), minlength=256)
            unlisted = [int(code) for code in np.flatnonzero(counts) if code not in listed]
            if unlisted:
                got = ", ".join(map(str, unlisted[:5]))
                msg = f"{folder.root}: the mask of {name!r} holds codes of no class: {got}."
                raise InputError(msg, "List the codes in dataset.json, or correct the mask.")
            if part == "train":
                met += counts
    if folder.split["train"] and not set(folder.split["train"]) - set(unreadable):
        raise InputError(
            unreadable[folder.split["train"][0]], "Replace the masks of the train part."
        )
    missing = [name for code, name in folder.classes.items() if not met[code]]
    # With mapped labels the model has the chain's classes, whether the clinic met them all or not.
    if missing and folder.recode is None:
        msg = f"{folder.root}: the train part has no pixel of {', '.join(missing)}."
        remedy = "Add images with it, put one into the split's train part, or take the class out."
        raise InputError(msg, remedy)
    return unreadable


def read_description(root: Path) -> dict[str, Any]:
    """The content of a training folder's ``dataset.json``.

    Raises
    ------
    InputError
        When it is missing or no JSON object.
    """
    path = root / "dataset.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"{root} is not a training folder: dataset.json is missing."
        remedy = 'Write one with at least {"classes": {"0": "…", "1": "…"}}.'
        raise InputError(msg, remedy) from error
    except ValueError as error:
        msg = f"{path} is not JSON ({error})."
        raise InputError(msg, "Correct the file.") from error
    if not isinstance(document, dict):
        msg = f"{path}: need an object, got {type(document).__name__}."
        raise InputError(msg, "Correct the file.")
    return document


def parse_classes(
    root: Path, document: Mapping[str, Any]
) -> tuple[dict[int, str], dict[int, int] | None]:
    """Classes by code, and the recoding of mask files where own classes are mapped to labels.

    Raises
    ------
    InputError
        When the description of the classes or of their labels cannot be used.
    """
    try:
        own = {int(code): str(name) for code, name in (document.get("classes") or {}).items()}
    except (ValueError, AttributeError) as error:
        msg = f"{root}/dataset.json: classes must map mask codes to names ({error})."
        raise InputError(msg, "Correct the file.") from error
    if len(own) < 2 or not all(0 <= code <= 255 for code in own):
        msg = f"{root}/dataset.json: need two classes or more with codes 0-255, got {own}."
        raise InputError(msg, "Correct the file.")
    labels = document.get("labels")
    if labels is None:
        return dict(sorted(own.items())), None
    codes = {name: code for code, name in SKIN_CLASSES.items()}
    unmapped = [name for name in own.values() if labels.get(name) not in codes]
    if unmapped:
        msg = f"{root}/dataset.json: class {unmapped[0]!r} is mapped to no label of the chain."
        raise InputError(msg, f"Map it under labels to one of {', '.join(codes)}.")
    return dict(SKIN_CLASSES), {code: codes[labels[name]] for code, name in own.items()}


def _check_split(
    root: Path, split: Mapping[str, Sequence[str]], patients: Mapping[str, str]
) -> None:
    seen: dict[str, str] = {}
    for part, names in split.items():
        for name in names:
            if seen.setdefault(patients[name], part) != part:
                other = seen[patients[name]]
                msg = f"{root}: patient {patients[name]!r} is in both {other} and {part}."
                raise InputError(msg, "Put all images of a patient into one part.")
    if not split["train"]:
        msg = f"{root}: no training images."
        raise InputError(msg, "Put images into the split's train part.")


def class_indices(mask: Pixels, codes: Sequence[int]) -> Pixels:
    """Mask codes -> class indices 0..n-1; codes that are not listed become `IGNORED`."""
    table = np.full(256, IGNORED, dtype=np.uint8)
    table[list(codes)] = np.arange(len(codes), dtype=np.uint8)
    return np.asarray(cv2.LUT(mask, table), np.uint8)


def recoded(mask: Pixels, recode: Mapping[int, int]) -> Pixels:
    """A mask with its codes changed; those that are not listed become `IGNORED`."""
    table = np.full(256, IGNORED, dtype=np.uint8)
    table[list(recode)] = list(recode.values())
    return np.asarray(cv2.LUT(mask, table), np.uint8)
