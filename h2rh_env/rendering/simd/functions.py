"""What kernels compute with sixteen floats at once: powers, logarithms, sums over a block, a transpose."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .vector import BOOLEANS, I32, INTEGERS, LANES, VECTOR, F32x16, call, constant, intrinsic, pointer


@intrinsic
def exp2_small(context: Any, x: Any) -> Any:
    """2^x for -100 <= x <= 1, relative error 2e-7; lanes outside hold nonsense."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        # Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits, ready for the exponent.
        magic = constant(12582912.0)
        shifted = builder.fadd(args[0], magic)
        fraction = builder.fsub(args[0], builder.fsub(shifted, magic))
        power = constant(EXP2_COEFFICIENTS[-1])
        for coefficient in reversed(EXP2_COEFFICIENTS[:-1]):
            power = call(builder, "llvm.fmuladd", power, fraction, constant(coefficient))
        exponent = builder.shl(builder.bitcast(shifted, INTEGERS), ir.Constant(INTEGERS, [23] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(power, INTEGERS), exponent), VECTOR)

    return F32x16(F32x16), emit


# Least-squares fit of 2^x on Chebyshev nodes of [-1/2, 1/2], relative.
EXP2_COEFFICIENTS = (
    1.000000071,
    6.931469492e-01,
    2.402212175e-01,
    5.550742616e-02,
    9.675459746e-03,
    1.326697039e-03,
)


@intrinsic
def transpose16(context: Any, array: Any) -> Any:
    """Transposes, in place, the 16x16 float32 at the start of a contiguous array."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> None:
        def row(i: int) -> ir.Value:
            index = ir.Constant(ir.IntType(64), i * LANES)
            place = pointer(builder, context, signature.args[0], args[0], index)
            return builder.bitcast(place, VECTOR.as_pointer())

        rows = [builder.load(row(i), align=4) for i in range(LANES)]
        for width in (8, 4, 2, 1):
            first = [lane if not lane & width else LANES + lane - width for lane in range(LANES)]
            second = [lane + width if not lane & width else LANES + lane for lane in range(LANES)]
            for i in (i for i in range(LANES) if not i & width):
                a, b = rows[i], rows[i + width]
                rows[i] = builder.shuffle_vector(a, b, ir.Constant(INTEGERS, first))
                rows[i + width] = builder.shuffle_vector(a, b, ir.Constant(INTEGERS, second))
        for i, value in enumerate(rows):
            builder.store(value, row(i), align=4)

    return types.void(array), emit


@intrinsic
def log2_16(context: Any, x: Any) -> Any:
    """log2(x) for normal x > 0, absolute error 2e-7 near 1; lanes of other values hold nonsense."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        def same(value: int) -> ir.Constant:
            return ir.Constant(INTEGERS, [value] * LANES)

        # x = 2^e m with m in [sqrt(1/2), sqrt(2)): the difference of the bit patterns counts octaves.
        pattern = builder.bitcast(args[0], INTEGERS)
        octaves = builder.ashr(builder.sub(pattern, same(0x3F3504F3)), same(23))
        mantissa = builder.bitcast(builder.sub(pattern, builder.shl(octaves, same(23))), VECTOR)
        one = constant(1.0)
        s = builder.fdiv(builder.fsub(mantissa, one), builder.fadd(mantissa, one))
        square = builder.fmul(s, s)
        series = constant(2 / 9 / math.log(2))
        for k in (7, 5, 3, 1):
            series = call(builder, "llvm.fmuladd", series, square, constant(2 / k / math.log(2)))
        return call(builder, "llvm.fmuladd", s, series, builder.sitofp(octaves, VECTOR))

    return F32x16(F32x16), emit


def _fold(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, stride: int) -> ir.Value:
    """Adds lanes `stride` apart, of x in the lanes without that bit, of y in the lanes with it."""
    kept = [lane + (LANES if lane & stride else 0) for lane in range(LANES)]
    moved = [(lane ^ stride) + (LANES if lane & stride else 0) for lane in range(LANES)]
    return builder.fadd(
        builder.shuffle_vector(x, y, ir.Constant(INTEGERS, kept)),
        builder.shuffle_vector(x, y, ir.Constant(INTEGERS, moved)),
    )


@intrinsic
def block_moments(context: Any, q: Any, dx: Any, dy: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Sums over a block, where dx depends on the column alone.

    In the order q, q dx, q dx^2, a; q dy, q dx dy, -, b; q dy^2, -, -, c; d, -, -, -; where - stands for nonsense.

    Folding pairs of vectors into one costs a third of ten separate sums.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        q, dx, dy, a, b, c, d = args
        q_dy = builder.fmul(q, dy)
        rows = _fold(builder, q, q_dy, 4), _fold(builder, builder.fmul(q_dy, dy), d, 4)
        columns = _fold(builder, *rows, 8)
        rows = _fold(builder, a, b, 4), _fold(builder, c, c, 4)
        weights = _fold(builder, *rows, 8)
        columns_dx = builder.fmul(columns, dx)
        pairs = (
            _fold(builder, columns, columns_dx, 1),
            _fold(builder, builder.fmul(columns_dx, dx), weights, 1),
        )
        return _fold(builder, *pairs, 2)

    return F32x16(*[F32x16] * 7), emit


def _permuted(order: list[int]) -> Any:
    def typed(context: Any, x: Any) -> Any:
        lanes = ir.Constant(INTEGERS, order)
        return F32x16(F32x16), lambda _, builder, signature, args: builder.shuffle_vector(
            args[0], args[0], lanes
        )

    return intrinsic(typed)


first_of_four = _permuted([lane & ~3 for lane in range(LANES)])
last_of_four = _permuted([lane | 3 for lane in range(LANES)])


@intrinsic
def append_marked(
    context: Any, offsets: Any, marks: Any, first: Any, last: Any, bit: Any, out: Any, length: Any
) -> Any:
    """Appends to `out`, of sixteen uint32 `offsets` from `first`, those before `last` whose mark has `bit` set.

    Returns the new length. Reads sixteen and writes sixteen, whatever there is to append.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        _, _, first, last, bit, _, length = args
        half = ir.IntType(16)
        halves = ir.VectorType(half, LANES)
        undefined = ir.Constant(halves, ir.Undefined)

        def all_lanes(value: ir.Value) -> ir.Value:
            one = builder.insert_element(undefined, builder.trunc(value, half), ir.Constant(I32, 0))
            return builder.shuffle_vector(one, undefined, ir.Constant(INTEGERS, [0] * LANES))

        def vector(array: int, index: ir.Value, kind: ir.Type) -> ir.Value:
            place = pointer(builder, context, signature.args[array], args[array], index)
            return builder.bitcast(place, kind.as_pointer())

        mark = builder.load(vector(1, first, halves), align=2)
        marked = builder.and_(mark, all_lanes(builder.shl(ir.Constant(bit.type, 1), bit)))
        left = builder.sub(last, first)
        most = ir.Constant(left.type, LANES)
        left = builder.select(builder.icmp_unsigned("<", left, most), left, most)
        inside = builder.icmp_unsigned("<", ir.Constant(halves, list(range(LANES))), all_lanes(left))
        chosen = builder.and_(inside, builder.icmp_unsigned("!=", marked, ir.Constant(halves, [0] * LANES)))
        kind = ir.FunctionType(INTEGERS, [INTEGERS, BOOLEANS, INTEGERS])
        compress = cgutils.get_or_insert_function(
            builder.module, kind, f"llvm.experimental.vector.compress.v{LANES}i32"
        )
        values = builder.load(vector(0, first, INTEGERS), align=4)
        packed = builder.call(compress, [values, chosen, ir.Constant(INTEGERS, ir.Undefined)])
        builder.store(packed, vector(5, length, INTEGERS), align=4)
        count = builder.ctpop(builder.zext(builder.bitcast(chosen, half), length.type))
        return builder.add(length, count)

    u64 = types.uint64
    return u64(offsets, marks, u64, u64, u64, out, u64), emit
