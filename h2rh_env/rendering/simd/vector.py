"""Sixteen floats at once inside numba: the vector type `F32x16`, its operators and the few intrinsics kernels use.

LLVM splits a 16-wide vector where the processor is narrower (two AVX registers, four of SSE or NEON), so the
same kernels run everywhere. No operation may be reordered or contracted by the compiler: results do not depend
on optimisation, only on whether the processor has a fused multiply-add.
"""

from __future__ import annotations

import operator
from typing import Any, ClassVar

from llvmlite import ir
from numba import extending, types
from numba.core import cgutils, typing
from numba.core.typing.templates import ConcreteTemplate, infer_global
from numba.extending import lower_builtin, models, register_model

intrinsic: Any = extending.intrinsic  # its stubs expect the typing context from the caller
LANES = 16
F32 = ir.FloatType()
I32 = ir.IntType(32)
VECTOR = ir.VectorType(F32, LANES)
INTEGERS = ir.VectorType(I32, LANES)
BOOLEANS = ir.VectorType(ir.IntType(1), LANES)


class _VectorType(types.Type):
    """A numba type whose value is an LLVM vector."""


class _FloatVector(_VectorType): ...


class _MaskVector(_VectorType): ...


F32x16 = _FloatVector("F32x16")
Mask16 = _MaskVector("Mask16")


@register_model(_FloatVector)
class _FloatModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


@register_model(_MaskVector)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, BOOLEANS)


def constant(value: float) -> ir.Constant:
    """The value in all lanes."""
    return ir.Constant(VECTOR, [value] * LANES)


def _define(op: Any, result: _VectorType, operand: _VectorType, emit: Any) -> None:
    """Teaches numba that `op(operand, operand)` gives `result`, by the LLVM instruction that `emit` adds."""

    class Template(ConcreteTemplate):
        cases: ClassVar = [typing.templates.signature(result, operand, operand)]

    infer_global(op)(Template)
    lower_builtin(op, operand, operand)(lambda context, builder, signature, args: emit(builder, *args))


_define(operator.add, F32x16, F32x16, lambda b, x, y: b.fadd(x, y))
_define(operator.sub, F32x16, F32x16, lambda b, x, y: b.fsub(x, y))
_define(operator.mul, F32x16, F32x16, lambda b, x, y: b.fmul(x, y))
_define(operator.truediv, F32x16, F32x16, lambda b, x, y: b.fdiv(x, y))
_define(operator.lt, Mask16, F32x16, lambda b, x, y: b.fcmp_ordered("<", x, y))
_define(operator.le, Mask16, F32x16, lambda b, x, y: b.fcmp_ordered("<=", x, y))
_define(operator.gt, Mask16, F32x16, lambda b, x, y: b.fcmp_ordered(">", x, y))
_define(operator.ge, Mask16, F32x16, lambda b, x, y: b.fcmp_ordered(">=", x, y))
_define(operator.and_, Mask16, Mask16, lambda b, x, y: b.and_(x, y))
_define(operator.or_, Mask16, Mask16, lambda b, x, y: b.or_(x, y))


def call(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """Emits a call of an LLVM intrinsic on vectors."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{LANES}f32"), args)


def _unary(name: str) -> Any:
    def typed(context: Any, x: Any) -> Any:
        return F32x16(F32x16), lambda _, builder, signature, args: call(builder, name, *args)

    return intrinsic(typed)


sqrt16 = _unary("llvm.sqrt")
floor16 = _unary("llvm.floor")


@intrinsic
def fma(context: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, lane by lane, rounded once where the processor can."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        # llvm.fma would call libm sixteen times on a processor without FMA; fmuladd then multiplies and adds.
        return call(builder, "llvm.fmuladd", *args)

    return F32x16(F32x16, F32x16, F32x16), emit


@intrinsic
def splat(context: Any, x: Any) -> Any:
    """A float32 in all lanes."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        return _splat(builder, args[0])

    return F32x16(types.float32), emit


def _splat(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), ir.Constant(INTEGERS, [0] * LANES))


@intrinsic
def where(context: Any, mask: Any, yes: Any, no: Any) -> Any:
    """`yes` in the lanes of the mask, `no` elsewhere."""
    return F32x16(Mask16, F32x16, F32x16), lambda _, builder, signature, args: builder.select(*args)


@intrinsic
def bits(context: Any, mask: Any) -> Any:
    """The mask as a uint32, lane 0 lowest; 0 if no lane is set."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), I32)

    return types.uint32(Mask16), emit


@intrinsic
def from_bits(context: Any, pattern: Any) -> Any:
    """The mask whose lanes are the bits of a uint16, lane 0 lowest."""
    return Mask16(types.uint16), lambda _, builder, signature, args: builder.bitcast(args[0], BOOLEANS)


@intrinsic
def lane_sum(context: Any, x: Any) -> Any:
    """The sum of all lanes, float32, added pairwise."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        value, width = args[0], LANES
        while width > 1:
            width //= 2
            order = ir.VectorType(I32, width)
            low = builder.shuffle_vector(value, value, ir.Constant(order, list(range(width))))
            high = builder.shuffle_vector(value, value, ir.Constant(order, list(range(width, 2 * width))))
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(I32, 0))

    return types.float32(F32x16), emit


def pointer(builder: ir.IRBuilder, context: Any, kind: Any, array: ir.Value, index: ir.Value) -> ir.Value:
    """Where element `index` of a flat array lies."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def load(context: Any, array: Any, index: Any) -> Any:
    """Sixteen consecutive float32 of a contiguous array, from flat index `index`."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        place = pointer(builder, context, signature.args[0], args[0], args[1])
        return builder.load(builder.bitcast(place, VECTOR.as_pointer()), align=4)

    return F32x16(array, types.uint64), emit


@intrinsic
def store(context: Any, array: Any, index: Any, value: Any) -> Any:
    """Writes sixteen consecutive float32 of a contiguous array, from flat index `index`."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> None:
        place = pointer(builder, context, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(place, VECTOR.as_pointer()), align=4)

    return types.void(array, types.uint64, F32x16), emit


@intrinsic
def store_block(context: Any, array: Any, index: Any, stride: Any, value: Any) -> Any:
    """Writes lanes 0-3, 4-7, 8-11, 12-15 to four rows of a contiguous array, `stride` floats apart."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> None:
        array, index, stride, value = args
        row = ir.VectorType(F32, 4)
        for i in range(4):
            lanes = ir.Constant(ir.VectorType(I32, 4), list(range(4 * i, 4 * i + 4)))
            place = pointer(builder, context, signature.args[0], array, index)
            quad = builder.shuffle_vector(value, value, lanes)
            builder.store(quad, builder.bitcast(place, row.as_pointer()), align=4)
            index = builder.add(index, stride)

    return types.void(array, types.uint64, types.uint64, F32x16), emit


def _constant_lanes(values: list[float]) -> Any:
    def typed(context: Any) -> Any:
        return F32x16(), lambda context, builder, signature, args: ir.Constant(VECTOR, values)

    return intrinsic(typed)


block_x = _constant_lanes([0.5 + (lane & 3) for lane in range(LANES)])
block_y = _constant_lanes([0.5 + (lane >> 2) for lane in range(LANES)])
lane_index = _constant_lanes([float(lane) for lane in range(LANES)])
first_sign = _constant_lanes([1.0 - 2.0 * (lane & 3 > 1) for lane in range(LANES)])  # + + - - in each row


@intrinsic
def load_block(context: Any, array: Any, index: Any, stride: Any) -> Any:
    """The reverse of `store_block`: four floats from each of four rows."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        array, index, stride = args
        row, order = ir.VectorType(F32, 4), ir.VectorType(I32, 8)
        rows = []
        for _ in range(4):
            place = pointer(builder, context, signature.args[0], array, index)
            rows.append(builder.load(builder.bitcast(place, row.as_pointer()), align=4))
            index = builder.add(index, stride)
        eight = ir.Constant(order, list(range(8)))
        top, bottom = builder.shuffle_vector(*rows[:2], eight), builder.shuffle_vector(*rows[2:], eight)
        return builder.shuffle_vector(top, bottom, ir.Constant(INTEGERS, list(range(LANES))))

    return F32x16(array, types.uint64, types.uint64), emit
