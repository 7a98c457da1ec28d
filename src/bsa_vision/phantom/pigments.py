"""What skin's two pigments take from light, in relative units of absorption."""

import numpy as np

#: What one unit takes from linear red, green and blue: the light is multiplied by exp(-amount).
HAEMOGLOBIN = np.array([0.12, 1.0, 0.66], np.float32)
MELANIN = np.array([0.6, 0.86, 1.08], np.float32)
