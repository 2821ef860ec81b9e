"""Changing the colour matrix of a small picture: what other matrices call Y, Cb, Cr, as JPEG (BT.601) has it."""

from __future__ import annotations

import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

Plane = NDArray[np.uint8]

# Weights of red and blue in Y (ITU-T H.273, table 4).
WEIGHTS = {
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}

_BITS = 9  # after the point; with 10, the sums of _mix could exceed 16 bits
_HALF = np.int16(1 << (_BITS - 1))


class MatrixChange:
    """Full-range Y, Cb, Cr planes of one matrix to those of BT.601, without a detour over RGB.

    With chroma centred on 0: Y′ = Y + a·Cb + b·Cr, and Cb′, Cr′ are linear in Cb and Cr alone, since both Y weigh
    greys alike. So Y gets a correction that is computed once per chroma sample. Whole numbers only: the same bytes
    on every processor.

    Args:
        source: the matrix of the planes to come.
    """

    def __init__(self, source: Colorspace) -> None:
        (red, blue), (to_red, to_blue) = WEIGHTS[source], WEIGHTS[Colorspace.ITU601]
        green, to_green = 1 - red - blue, 1 - to_red - to_blue
        # R = Y + r·Cr, B = Y + b·Cb, G = Y − gb·Cb − gr·Cr
        r, b = 2 * (1 - red), 2 * (1 - blue)
        gb, gr = blue * b / green, red * r / green
        y_by_u, y_by_v = to_blue * b - to_green * gb, to_red * r - to_green * gr
        u_scale, v_scale = 2 * (1 - to_blue), 2 * (1 - to_red)
        # What is to be added to each plane; the factors are small, so that 16 bits are enough.
        self._y = _fixed(y_by_u), _fixed(y_by_v)
        self._u = _fixed((b - y_by_u) / u_scale - 1), _fixed(-y_by_v / u_scale)
        self._v = _fixed(-y_by_u / v_scale), _fixed((r - y_by_v) / v_scale - 1)

    def __call__(self, y: Plane, u: Plane, v: Plane) -> tuple[Plane, Plane, Plane]:
        """Planes of BT.601 from Y (H, W), U and V (⌈H/2⌉, ⌈W/2⌉)."""
        height, width = y.shape
        new_u, new_v = u.astype(np.int16), v.astype(np.int16)
        centred = new_u - np.int16(128), new_v - np.int16(128)
        change = _mix(centred, self._y).repeat(2, axis=1)[:, :width]
        new_y = np.empty((height, width), np.int16)
        np.add(y[0::2], change, out=new_y[0::2])
        np.add(y[1::2], change[: height // 2], out=new_y[1::2])
        new_u += _mix(centred, self._u)
        new_v += _mix(centred, self._v)
        return _clip(new_y), _clip(new_u), _clip(new_v)


def _mix(centred: tuple[NDArray[np.int16], NDArray[np.int16]], factors: tuple[np.int16, np.int16]) -> NDArray[np.int16]:
    total: NDArray[np.int16] = centred[0] * factors[0]
    total += centred[1] * factors[1]
    total += _HALF
    total >>= _BITS
    return total


def _fixed(factor: float) -> np.int16:
    return np.int16(round(factor * (1 << _BITS)))


def _clip(plane: NDArray[np.int16]) -> Plane:
    np.clip(plane, 0, 255, out=plane)
    return plane.astype(np.uint8)
