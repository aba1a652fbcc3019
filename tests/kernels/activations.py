"""Writes activations.csv: x, QuickGELU(x) and GELU(x) in double precision, from x exactly as a 32-bit float.

    python tests/kernels/activations.py > tests/kernels/activations.csv
"""

import numpy
from scipy.special import expit, ndtr

x = numpy.concatenate([numpy.linspace(-13, 13, 261), numpy.geomspace(1e-6, 0.1, 21), -numpy.geomspace(1e-6, 0.1, 21)])
x = x.astype(numpy.float32).astype(numpy.float64)
print("x,quick_gelu,gelu")
for row in zip(x, x * expit(1.702 * x), x * ndtr(x)):
    print(",".join(f"{value:.17g}" for value in row))
