"""Units as types: a scale is never taken for another bare float."""

from typing import NewType

MmPerPx = NewType("MmPerPx", float)
