"""The training folder: images, masks, classes, splits by patient; and the crops drawn from it.

Format: ``images/NAME.(jpg|png)``, ``masks/NAME.png`` (uint8 codes, same size), ``dataset.json``::

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bsa_vision.core.errors import InputError, Refused
from bsa_vision.core.files import write_whole
from bsa_vision.segmentation.augment import Augmenter
from bsa_vision.segmentation.card import SKIN_CLASSES, file_sha256
from bsa_vision.segmentation.mask_file import read_mask
from bsa_vision.segmentation.padding import network_size, resample

Pixels = NDArray[np.uint8]
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
    patients : NAME -> patient.
    recode : code in the mask files -> code, where the classes are mapped to the chain's labels.
    groups : NAME -> what it belongs to, such as ``{"skin_tone": "Monk 04", "view": "head"}``.
    left_out : NAME -> why the image is not used.
    """

    root: Path
    classes: Mapping[int, str]
    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    split: Mapping[str, tuple[str, ...]]
    patients: Mapping[str, str]
    recode: Mapping[int, int] | None = None
    groups: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def size(self, name: str) -> tuple[int, int]:
        """(width, height) of an image, from its header."""
        with Image.open(self.masks[name]) as picture:
            return picture.size

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
        mask = read_mask(self.masks[name])
        if isinstance(mask, Refused):
            msg = f"{self.root}: the mask of {name!r} cannot be decoded: {mask.reason}"
            raise InputError(msg, "Replace the file or take the name out of the folder.")
        return mask if self.recode is None else recoded(mask, self.recode)

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

    Whole patients are dealt in a shuffled order to the part that lacks the most images, so the
    shares are met within one patient's images.
    """
    by_patient: dict[str, list[str]] = {}
    for name in sorted(patients):
        by_patient.setdefault(patients[name], []).append(name)
    order = np.random.default_rng(seed).permutation(sorted(by_patient))
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for patient in order:
        lacking = max(PARTS, key=lambda p: shares[p] * len(patients) - len(parts[p]))
        parts[lacking].extend(by_patient[str(patient)])
    return {part: tuple(sorted(names)) for part, names in parts.items()}


def read_training_folder(root: Path) -> TrainingFolder:
    """Read and check a training folder.

    Raises
    ------
    InputError
        When the description is missing or contradicts the files, or a patient is in two parts.
    """
    document = read_description(root)
    classes, recode = parse_classes(root, document)
    images = {
        path.stem: path
        for path in sorted((root / "images").glob("*"))
        if path.suffix.lower() in {".jpg", ".jpeg", ".png"}
    }
    named = {name for names in (document.get("split") or {}).values() for name in names}
    if unknown := sorted(named - set(images)):
        msg = f"{root}: the split names {unknown[0]!r}, which is not in images/."
        raise InputError(msg, "Correct dataset.json.")
    left_out = {
        name: reason
        for name, path in images.items()
        if (reason := _unusable(path, root / "masks" / f"{name}.png"))
    }
    images = {name: path for name, path in images.items() if name not in left_out}
    if not images:
        what = next(iter(left_out.values()), "there are no images")
        msg = f"{root}: {what}."
        raise InputError(msg, "A training folder holds images/NAME.jpg|png and masks/NAME.png.")
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
    groups = document.get("groups") or {}
    masks = {name: root / "masks" / f"{name}.png" for name in images}
    return TrainingFolder(root, classes, images, masks, split, patients, recode, groups, left_out)


def _unusable(image: Path, mask: Path) -> str | None:
    """Why an image cannot be used with its mask, from what their headers say; None when it can."""
    if not mask.is_file():
        return f"there is no mask for {image.stem!r}"
    sizes = []
    for path in (image, mask):
        try:
            with Image.open(path) as picture:
                sizes.append(picture.size)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return f"{path.parent.name}/{path.name} cannot be decoded"
    if sizes[0] != sizes[1]:
        (w, h), (mask_w, mask_h) = sizes
        return f"{image.stem!r} is {w}x{h} but its mask is {mask_w}x{mask_h}"
    return None


def shrunk_folder(folder: TrainingFolder, out: Path, long_side: int) -> TrainingFolder:
    """The folder with copies, in `out`, of the images and masks longer than `long_side`.

    Training draws many crops of each photo; decoding twelve megapixels for each would take longer
    than the step. Copies that are there already are used.
    """
    images, masks = dict(folder.images), dict(folder.masks)
    for name in sorted({name for names in folder.split.values() for name in names}):
        width, height = folder.size(name)
        if max(width, height) <= long_side:
            continue
        paths = [out / "shrunk" / kind / f"{name}.png" for kind in ("images", "masks")]
        if not all(path.is_file() for path in paths):
            image, mask = folder.read(name)
            size = network_size((width, height), long_side)
            small = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)
            for path, pixels in zip(paths, (resample(image, size)[:, :, ::-1], small), strict=True):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, cv2.imencode(".png", pixels)[1].tobytes())
        images[name], masks[name] = paths
    if masks == folder.masks:
        return folder
    return replace(folder, images=images, masks=masks, recode=None)


def check_codes(folder: TrainingFolder) -> None:
    """Check every mask's codes before hours of training depend on them.

    A mask without any pixel of a class is fine; a class without any in the train part is not.

    Raises
    ------
    InputError
        When a mask holds a code that is no class, or the train part lacks a class altogether.
    """
    met = np.zeros(256, np.int64)
    for part, names in folder.split.items():
        for name in names:
            counts = np.bincount(folder.read_codes(name).ravel(), minlength=256)
            unlisted = [int(code) for code in np.flatnonzero(counts) if code not in folder.classes]
            if unlisted:
                got = ", ".join(map(str, unlisted[:5]))
                msg = f"{folder.root}: the mask of {name!r} holds codes of no class: {got}."
                raise InputError(msg, "List the codes in dataset.json, or correct the mask.")
            if part == "train":
                met += counts
    missing = [name for code, name in folder.classes.items() if not met[code]]
    # With mapped labels the model has the chain's classes, whether the clinic met them all or not.
    if missing and folder.recode is None:
        msg = f"{folder.root}: the train part has no pixel of {', '.join(missing)}."
        raise InputError(msg, "Add images with it, or take the class out of dataset.json.")


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
    except FileNotFoundError as error:
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
    return np.asarray(table[mask], dtype=np.uint8)


def recoded(mask: Pixels, recode: Mapping[int, int]) -> Pixels:
    """A mask with its codes changed; codes that are not listed stay, unless they would be mistaken.

    A code that is not listed but is the new code of another becomes `IGNORED`.
    """
    table = np.arange(256, dtype=np.uint8)
    table[[code for code in recode.values() if code not in recode]] = IGNORED
    table[list(recode)] = list(recode.values())
    return np.asarray(table[mask], np.uint8)


class Crops:
    """Augmented square crops: item i is a pure function of (seed, i).

    So the crops are the same whatever number of processes loads them, and a run that is taken up
    again goes on with the crops it would have had.

    Parameters
    ----------
    folder, names : where crops come from.
    side : of a crop, network pixels.
    long_side : network pixels of a whole photo's long side.
    count : number of items.
    seed : the chance of the draw.
    first : index of the first item, for runs taken up again.
    """

    #: A crop's scale relative to a whole photo at `long_side`, drawn log-uniformly: photos are
    #: taken from different distances than the training photos were.
    SCALES = (0.6, 1.5)
    #: Share of the crops centred on a pixel of a class drawn evenly from those in the photo, so
    #: that rare classes are met often.
    CENTRED_SHARE = 0.65
    #: Every how many pixels a photo is looked at to find a centre.
    STRIDE = 4

    def __init__(
        self,
        folder: TrainingFolder,
        names: Sequence[str],
        *,
        side: int,
        long_side: int,
        count: int,
        seed: int,
        first: int = 0,
    ) -> None:
        self._folder, self._names = folder, tuple(names)
        self._side, self._long_side = side, long_side
        self._count, self._seed, self._first = count, seed, first
        self._augmenter = Augmenter()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, item: int) -> tuple[Pixels, Pixels]:
        """Crop (3, side, side) sRGB and class indices (side, side), both uint8."""
        if not 0 <= item < self._count:
            raise IndexError(item)
        rng = np.random.default_rng([self._seed, self._first + item])
        image, mask = self._folder.read(self._names[int(rng.integers(len(self._names)))])
        indices = class_indices(mask, tuple(self._folder.classes))
        crop, target = self._draw(rng, image, indices)
        crop, target = self._augmenter(crop, target, int(rng.integers(2**31)))
        return np.ascontiguousarray(crop.transpose(2, 0, 1)), target

    def _draw(
        self, rng: np.random.Generator, image: Pixels, indices: Pixels
    ) -> tuple[Pixels, Pixels]:
        height, width = indices.shape
        scale = float(np.exp(rng.uniform(*np.log(self.SCALES))))
        span = self._side / scale * max(height, width) / self._long_side
        span_x, span_y = min(round(span), width), min(round(span), height)
        cx, cy = self._centre(rng, indices)
        x = int(np.clip(cx - span_x // 2, 0, width - span_x))
        y = int(np.clip(cy - span_y // 2, 0, height - span_y))
        window = np.s_[y : y + span_y, x : x + span_x]
        size = (self._side, self._side)
        target = cv2.resize(indices[window], size, interpolation=cv2.INTER_NEAREST_EXACT)
        return resample(image[window], size), np.asarray(target, np.uint8)

    def _centre(self, rng: np.random.Generator, indices: Pixels) -> tuple[int, int]:
        height, width = indices.shape
        if rng.random() < self.CENTRED_SHARE:
            coarse = indices[:: self.STRIDE, :: self.STRIDE]
            present = np.flatnonzero(np.bincount(coarse.ravel(), minlength=IGNORED)[:IGNORED])
            if len(present):
                wanted = present[int(rng.integers(len(present)))]
                rows, columns = np.nonzero(coarse == wanted)
                pick = int(rng.integers(len(rows)))
                jitter = rng.integers(-self._side // 4, self._side // 4 + 1, size=2)
                cx, cy = int(columns[pick]) * self.STRIDE, int(rows[pick]) * self.STRIDE
                return cx + int(jitter[0]), cy + int(jitter[1])
        return int(rng.integers(width)), int(rng.integers(height))
