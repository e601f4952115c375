"""What kernels compute with sixteen floats at once: powers, logarithms, sums over a block, a transpose."""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .simd import I32, INTEGERS, LANES, VECTOR, F32x16, call, constant, intrinsic, pointer


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
    1.000000071, 6.931469492e-01, 2.402212175e-01, 5.550742616e-02, 9.675459746e-03, 1.326697039e-03,
)  # fmt: skip


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
    context: Any, words: Any, first: Any, last: Any, bit: Any, keep: Any, shift: Any, out: Any, length: Any
) -> Any:
    """Of eight uint64 `words` from `first`, appends to `out` those before `last` that have `bit` set.

    What is appended is (word & keep) << shift; returns the new length. Reads eight words and writes eight, whatever
    there is to append.
    """

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        words, first, last, bit, keep, shift, out, length = args
        word, eight = ir.IntType(64), ir.VectorType(ir.IntType(64), 8)

        def all_lanes(value: ir.Value) -> ir.Value:
            one = builder.insert_element(ir.Constant(eight, ir.Undefined), value, ir.Constant(I32, 0))
            order = ir.Constant(ir.VectorType(I32, 8), [0] * 8)
            return builder.shuffle_vector(one, ir.Constant(eight, ir.Undefined), order)

        place = pointer(builder, context, signature.args[0], words, first)
        values = builder.load(builder.bitcast(place, eight.as_pointer()), align=8)
        marked = builder.and_(values, all_lanes(builder.shl(ir.Constant(word, 1), bit)))
        inside = builder.icmp_unsigned(
            "<", ir.Constant(eight, list(range(8))), all_lanes(builder.sub(last, first))
        )
        chosen = builder.and_(inside, builder.icmp_unsigned("!=", marked, ir.Constant(eight, [0] * 8)))
        values = builder.shl(builder.and_(values, all_lanes(keep)), all_lanes(shift))
        booleans = ir.VectorType(ir.IntType(1), 8)
        kind = ir.FunctionType(eight, [eight, booleans, eight])
        compress = cgutils.get_or_insert_function(
            builder.module, kind, "llvm.experimental.vector.compress.v8i64"
        )
        packed = builder.call(compress, [values, chosen, ir.Constant(eight, ir.Undefined)])
        place = pointer(builder, context, signature.args[6], out, length)
        builder.store(packed, builder.bitcast(place, eight.as_pointer()), align=8)
        count = builder.ctpop(builder.zext(builder.bitcast(chosen, ir.IntType(8)), word))
        return builder.add(length, count)

    u64 = types.uint64
    return u64(words, u64, u64, u64, u64, u64, out, u64), emit
