"""A model's card for people, in Markdown, from the machine-readable one."""

from collections.abc import Mapping
from typing import Any

from bsa_vision.segmentation.card import Architecture, ModelCard

CARD_TEXT_FILE = "MODEL_CARD.md"


def model_card_text(card: ModelCard) -> str:
    """The card as Markdown; the same card gives the same text."""
    training = card.training
    lines = [
        f"# {card.name}",
        "",
        f"Digest `{card.digest}`. A research instrument, not a medical device.",
        "",
        "## What it does",
        f"Labels each pixel of a photo as one of {len(card.classes)} classes:",
        "",
        "| code | class |",
        "|---|---|",
        *(f"| {code} | {name.replace('_', ' ')} |" for code, name in card.classes.items()),
        "",
        f"Input: sRGB photo, long side resized to {card.long_side} pixels; works best on photos",
        "corrected against a colour card. Output: class and probabilities per pixel, temperature",
        f"{card.temperature}: sharper than calibrated, for areas that are summed over them.",
        "",
        "## How it was made",
        f"- Network: U-Net stopped at half resolution, encoder `{card.architecture.encoder}`,",
        f"  {_options(card.architecture)}, decoder channels",
        f"  {list(card.architecture.decoder_channels)}.",
        *_training_lines(training),
        *(f"- {note}" for note in training.get("notes", ())),
        "",
        *_figures(training.get("held_out")),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _options(architecture: Architecture) -> str:
    """The encoder's options in words."""
    options = sorted(architecture.encoder_options.items())
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in options) or "as it is"


def _training_lines(training: Mapping[str, Any]) -> list[str]:
    if not training:
        return []
    data, settings = training["data"], training["settings"]
    counts = ", ".join(f"{n} {part}" for part, n in data["images"].items())
    return [
        f"- Data: {counts} images of {data['patients']} patients, digest `{data['digest']}`.",
        f"- Training: {_start(training['init'])},",
        f"  {training['kept_step']} steps of {settings['batch']} crops",
        f"  of {settings['crop']}x{settings['crop']} pixels in {training['minutes']} minutes,",
        f"  device {training['device']}, seed {settings['seed']}; moving average kept.",
    ]


def _start(init: Mapping[str, str] | None) -> str:
    """What the weights were before training, in words."""
    return "random start" if init is None else f"started from {init['name']}, `{init['digest']}`"


def _figures(held_out: Mapping[str, Any] | None) -> list[str]:
    if held_out is None:
        return ["## Held-out figures", "None: the training folder has no test part."]

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    rows = [
        f"| {c['name'].replace('_', ' ')} | {shown(c['dice'])} | {shown(c['iou'])} | "
        f"{shown(c['precision'])} | {shown(c['recall'])} | {c['true_pixels']} |"
        for c in held_out["classes"]
    ]
    names = [c["name"].replace("_", " ") for c in held_out["classes"]]
    table = [
        f"| {name} | " + " | ".join(str(n) for n in row) + " |"
        for name, row in zip(names, held_out["confusion"]["counts"], strict=True)
    ]
    return [
        "## Held-out figures",
        f"{held_out['images']} images of {held_out['patients']} patients that training never saw,",
        "pixels pooled at network resolution.",
        "",
        "| class | Dice | IoU | precision | recall | pixels |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "Confusion (rows true, columns predicted, pixels):",
        "",
        "| | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
        *table,
    ]
