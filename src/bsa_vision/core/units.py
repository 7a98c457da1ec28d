"""Units as types, so that percent of BSA, cm2 and pixels never share a bare float."""

from typing import NewType

MmPerPx = NewType("MmPerPx", float)
Percent = NewType("Percent", float)
SquareCm = NewType("SquareCm", float)
Pixels = NewType("Pixels", float)
