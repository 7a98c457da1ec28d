"""Units as types: a scale is never taken for another bare float."""

from typing import NewType

MmPerPx = NewType("MmPerPx", float)

#: Diagonal of the 36 x 24 mm frame that a "35 mm equivalent" refers to (CIPA DCG-001).
FULL_FRAME_DIAGONAL_MM = 43.267
