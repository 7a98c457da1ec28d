"""bsa-vision: affected body-surface area and re-epithelialisation measured from photographs."""

__version__ = "0.4.0"
