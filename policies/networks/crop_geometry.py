"""CropGeometry: the numbers that a compact network is given besides its crop; their names, order and units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

Value = TypeVar("Value")
FLIPS = -1  # marks a number that changes sign in a mirror, which exchanges left and right


@dataclass(frozen=True)
class MaskShape(Generic[Value]):
    """Where a mask lies in the crop and how it is spread; every number is 0 for an empty mask.

    Attributes:
        x, y: the mask's mean from the crop's middle, to the right and down, in sides of the crop.
        log_size: half the logarithm of its area, in areas of the crop, plus 1.
        xx, yy, xy: its variances and covariance, in areas of the crop divided by `crop.variance_scale`.
    """

    x: Annotated[Value, FLIPS]
    y: Value
    log_size: Value
    xx: Value
    yy: Value
    xy: Annotated[Value, FLIPS]


@dataclass(frozen=True)
class CropGeometry(Generic[Value]):
    """What is known of a crop. A value is one number, or one for each of B frames.

    Attributes:
        x, y: the crop's middle from the image's, to the right and down, in its widths divided by `crop.centre_scale`.
        log_side: the logarithm of the crop's side, in `crop.typical_side` widths of the image.
        object, hand: the two masks in the crop.
        object_seen, hand_seen: 1 for a mask that is not empty, else 0.
        log_width: the logarithm of the crop's width at the object's distance, in `crop.typical_width_m`.
        log_sigma: half the logarithm of the distance's uncertainty, in `crop.typical_sigma`.
    """

    x: Annotated[Value, FLIPS]
    y: Value
    log_side: Value
    object: MaskShape[Value]
    hand: MaskShape[Value]
    object_seen: Value
    hand_seen: Value
    log_width: Value
    log_sigma: Value

    def pack(self) -> list[Value]:
        """The numbers in the order of the fields."""
        return list(_values(self))

    @classmethod
    def unpack(cls, packed: Any) -> CropGeometry[Any]:
        """Reads numbers in the order of the fields along the last axis of an array or a tensor."""
        if packed.shape[-1] != len(SIGNS):
            raise ValueError(f"a crop's geometry is {len(SIGNS)} numbers, not {packed.shape[-1]}")
        geometry: CropGeometry[Any] = _made(cls, iter([packed[..., i] for i in range(len(SIGNS))]))
        return geometry


PLACE = 2  # the first numbers, x and y, tell where in the image the crop lies


def _layout(kind: type[Any]) -> tuple[tuple[str, type[Any] | None, int], ...]:
    """Name of each field, the dataclass it holds if it is no number, and the sign that a mirror gives it."""
    hints = get_type_hints(kind, include_extras=True)
    parts = [get_origin(hint) if is_dataclass(get_origin(hint)) else None for hint in hints.values()]
    signs = [FLIPS if FLIPS in get_args(hint) else 1 for hint in hints.values()]
    return tuple(zip(hints, parts, signs, strict=True))


def _values(numbers: Any) -> Iterator[Any]:
    for name, part, _ in LAYOUTS[type(numbers).__name__]:
        value = getattr(numbers, name)
        if part is None:
            yield value
        else:
            yield from _values(value)


def _made(kind: type[Any], values: Iterator[Any]) -> Any:
    return kind(
        *(next(values) if part is None else _made(part, values) for _, part, _ in LAYOUTS[kind.__name__])
    )


def _signs(kind: type[Any]) -> Iterator[int]:
    for _, part, sign in LAYOUTS[kind.__name__]:
        if part is None:
            yield sign
        else:
            yield from _signs(part)


LAYOUTS = {kind.__name__: _layout(kind) for kind in (MaskShape, CropGeometry)}
SIGNS = tuple(_signs(CropGeometry))  # what each number is multiplied by in a mirror
