"""CropGeometry: the numbers that a compact network is given besides its crop; their names, order and units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
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


def _values(numbers: Any) -> Iterator[Any]:
    for each in fields(numbers):
        value = getattr(numbers, each.name)
        if is_dataclass(value):
            yield from _values(value)
        else:
            yield value


def _made(kind: type[Any], values: Iterator[Any]) -> Any:
    hints = get_type_hints(kind)
    return kind(**{
        each.name: _made(get_origin(hints[each.name]), values)
        if is_dataclass(get_origin(hints[each.name])) else next(values)
        for each in fields(kind)
    })  # fmt: skip


def _signs(kind: type[Any]) -> Iterator[int]:
    for hint in get_type_hints(kind, include_extras=True).values():
        if is_dataclass(get_origin(hint)):
            yield from _signs(get_origin(hint))
        else:
            yield FLIPS if FLIPS in get_args(hint) else 1


SIGNS = tuple(_signs(CropGeometry))  # what each number is multiplied by in a mirror
