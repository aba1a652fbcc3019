"""Writes activations.csv: x, QuickGELU(x), GELU(x) and their derivatives in double precision, from x exactly as a
32-bit float.

    python tests/kernels/activations.py > tests/kernels/activations.csv
"""

import numpy
from scipy.special import expit, ndtr

x = numpy.concatenate([numpy.linspace(-13, 13, 261), numpy.geomspace(1e-6, 0.1, 21), -numpy.geomspace(1e-6, 0.1, 21)])
x = x.astype(numpy.float32).astype(numpy.float64)
gate = expit(1.702 * x)
quick_gelu_derivative = gate + 1.702 * x * gate * expit(-1.702 * x)
gelu_derivative = ndtr(x) + x * numpy.exp(-(x**2) / 2) / numpy.sqrt(2 * numpy.pi)
print("x,quick_gelu,gelu,quick_gelu_derivative,gelu_derivative")
for row in zip(x, x * gate, x * ndtr(x), quick_gelu_derivative, gelu_derivative):
    print(",".join(f"{value:.17g}" for value in row))
