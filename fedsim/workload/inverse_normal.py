"""The quantile function of the normal distribution for whole arrays, without scipy's start-up.

It gives what ``scipy.special.ndtri`` gives, bit for bit: the rational approximations of the Cephes
library (S. L. Moshier, netlib.org/cephes, ``ndtri.c``), evaluated in its order.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TAIL = 0.13533528323661269189  # exp(-2): what lies further out has formulas of its own
_ROOT_2_PI = 2.50662827463100050242
_FAR = 8.0

_CENTER = (
    (
        -5.99633501014107895267e1,
        9.80010754185999661536e1,
        -5.66762857469070293439e1,
        1.39312609387279679503e1,
        -1.23916583867381258016e0,
    ),
    (
        1.0,
        1.95448858338141759834e0,
        4.67627912898881538453e0,
        8.63602421390890590575e1,
        -2.25462687854119370527e2,
        2.00260212380060660359e2,
        -8.20372256168333339912e1,
        1.59056225126211695515e1,
        -1.18331621121330003142e0,
    ),
)
_NEAR_TAIL = (
    (
        4.05544892305962419923e0,
        3.15251094599893866154e1,
        5.71628192246421288162e1,
        4.40805073893200834700e1,
        1.46849561928858024014e1,
        2.18663306850790267539e0,
        -1.40256079171354495875e-1,
        -3.50424626827848203418e-2,
        -8.57456785154685413611e-4,
    ),
    (
        1.0,
        1.57799883256466749731e1,
        4.53907635128879210584e1,
        4.13172038254672030440e1,
        1.50425385692907503408e1,
        2.50464946208309415979e0,
        -1.42182922854787788574e-1,
        -3.80806407691578277194e-2,
        -9.33259480895457427372e-4,
    ),
)
_FAR_TAIL = (
    (
        3.23774891776946035970e0,
        6.91522889068984211695e0,
        3.93881025292474443415e0,
        1.33303460815807542389e0,
        2.01485389549179081538e-1,
        1.23716634817820021358e-2,
        3.01581553508235416007e-4,
        2.65806974686737550832e-6,
        6.23974539184983293730e-9,
    ),
    (
        1.0,
        6.02427039364742014255e0,
        3.67983563856160859403e0,
        1.37702099489081330271e0,
        2.16236993594496635890e-1,
        1.34204006088543189037e-2,
        3.28014464682127739104e-4,
        2.89247864745380683936e-6,
        6.79019408009981274425e-9,
    ),
)
"""Coefficients of a numerator and a denominator, highest power first."""

_Ratio = tuple[tuple[float, ...], tuple[float, ...]]


def inverse_normal(u: Floats) -> Floats:
    """Return the standard normal quantile at each of *u*, 0 < *u* < 1."""
    upper = u > 1.0 - _TAIL
    outer = np.where(upper, 1.0 - u, u)
    central = outer > _TAIL
    found = np.empty_like(outer)
    middle = outer[central] - 0.5
    square = middle * middle
    found[central] = (middle + middle * _scaled(square, _CENTER, square)) * _ROOT_2_PI
    tails = ~central
    distance = np.sqrt(-2.0 * _log(outer[tails]))
    inverse = 1.0 / distance
    correction = _scaled(inverse, _NEAR_TAIL, inverse)
    far = distance >= _FAR
    correction[far] = _scaled(inverse[far], _FAR_TAIL, inverse[far])
    quantile = distance - _log(distance) / distance - correction
    found[tails] = np.where(upper[tails], quantile, -quantile)
    return found


def _scaled(factor: Floats, ratio: _Ratio, x: Floats) -> Floats:
    """Return *factor* times a ratio of polynomials, in an order that decides the last bit."""
    above, below = ratio
    return factor * _polynomial(above, x) / _polynomial(below, x)


def _polynomial(coefficients: tuple[float, ...], x: Floats) -> Floats:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value


def _log(x: Floats) -> Floats:
    """Return the logarithms by the C library, as numpy's differ in the last bit by processor."""
    return np.fromiter(map(math.log, x.tolist()), np.float64, len(x))
