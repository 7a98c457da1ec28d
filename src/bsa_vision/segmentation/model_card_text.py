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
        "corrected against a colour card. Output: class and probabilities per pixel; logits are",
        f"divided by the temperature {card.temperature} before the softmax{_bias(card)}.",
        *_reading_lines(card),
        "",
        "## How it was made",
        f"- Network: {_network(card.architecture)}.",
        *_training_lines(training),
        *(f"- {note}" for note in training.get("notes", ())),
        "",
        *_figures(training.get("held_out")),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _reading_lines(card: ModelCard) -> list[str]:
    lines = []
    if card.mirrored:
        lines.append(
            "Each photo is looked at twice, plain and mirrored; their logits are averaged."
        )
    if card.area_power != 1:
        power = f"{card.area_power:g}"
        lines.append(f"For areas, probabilities are raised to {power} and made to sum to one.")
    return lines


def _bias(card: ModelCard) -> str:
    if not card.bias:
        return ""
    pairs = zip(card.classes.values(), card.bias, strict=True)
    return " and shifted: " + ", ".join(f"{n.replace('_', ' ')} {b:+g}" for n, b in pairs)


def _network(architecture: Architecture) -> str:
    """Decoder and encoder with their options, in words."""
    decoder = dict(architecture.decoder_options)
    if architecture.decoder == "unet":
        decoder["channels"] = list(architecture.decoder_channels)
    parts = [(architecture.decoder, decoder), (architecture.encoder, architecture.encoder_options)]
    return ", encoder ".join(f"`{name}`{_options(options)}" for name, options in parts)


def _options(options: Mapping[str, Any]) -> str:
    words = ", ".join(
        f"{name.replace('_', ' ')} {value}" for name, value in sorted(options.items())
    )
    return f" ({words})" if words else ""


def _training_lines(training: Mapping[str, Any]) -> list[str]:
    if not training:
        return []
    data, settings = training["data"], training["settings"]
    counts = ", ".join(f"{n} {part}" for part, n in data["images"].items())
    return [
        f"- Data: {counts} images of {_patients(data['patients'])}, digest `{data['digest']}`.",
        f"- Training: {_start(training['init'])},",
        f"  {training['kept_step']} steps of {settings['batch']} crops",
        f"  of {settings['crop']}x{settings['crop']} pixels in {training['minutes']} minutes,",
        f"  device {training['device']}, seed {settings['seed']};",
        f"  moving average kept{_share(settings)}.",
    ]


def _share(settings: Mapping[str, Any]) -> str:
    """How much of the weights started from is in those kept; nothing for none."""
    share = settings.get("start_share", 0)
    return f", with {share:.0%} of the weights started from" if share else ""


def _patients(count: int | None) -> str:
    return "patients that were not told apart" if count is None else f"{count} patients"


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
        f"{held_out['images']} images of {_patients(held_out['patients'])}, none of which training",
        "saw; pixels pooled at network resolution.",
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
        *_calibration_lines(held_out.get("calibration")),
        *_group_lines(held_out.get("groups", {})),
    ]


def _calibration_lines(calibration: Mapping[str, Any] | None) -> list[str]:
    if calibration is None or calibration["ece"] is None:
        return []
    rows = [
        f"| {b['probability']:.2f} | {b['right']:.2f} | {100 * b['share']:.1f} % |"
        for b in calibration["bins"]
    ]
    return [
        "",
        f"Expected calibration error {calibration['ece']:.4f}. Of the pixels whose most probable",
        "class has about this probability, this share is right:",
        "",
        "| probability | right | pixels |",
        "|---|---|---|",
        *rows,
    ]


def _group_lines(groups: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    lines = []
    for kind, by_group in groups.items():
        lines += [
            "",
            f"Mean Dice by {kind.replace('_', ' ')}:",
            "",
            "| group | images | mean Dice |",
        ]
        lines += ["|---|---|---|"]
        lines += [
            f"| {group} | {found['images']} | "
            f"{'-' if found['mean_dice'] is None else format(found['mean_dice'], '.3f')} |"
            for group, found in by_group.items()
        ]
    return lines
