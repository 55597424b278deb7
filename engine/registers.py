"""Vector registers as local variables of a kernel: what numba's own vectoriser leaves in memory stays in registers.

A kernel that adds scaled rows of a table into an accumulator array stores and reloads it for every row. Here the
accumulator is one value of LLVM's `<lanes x double>`, which the compiler splits into whatever registers the machine
has. The functions exist only in compiled kernels and check no bounds: their callers have. The number of lanes is a
power of two and a constant of the source. Interpreted, a kernel's plain twin stands in.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numba import types
from numba.core.cgutils import ir  # type: ignore[attr-defined]
from numba.extending import intrinsic, models, register_model

from engine.types import Floats

CACHE_LINE: Final = 64
"""Bytes; a row that starts on a line costs one access per register instead of two."""
CONTRACT: Final = ("contract",)
"""Multiply and add may round once instead of twice, where the machine does so."""
DOUBLE: Final = ir.DoubleType()
NUMBER: Final = ir.IntType(32)


Compiled = Callable[..., Any]


class Lanes(types.Type):
    """numba type of `count` float64 values held in registers."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


def _register(count: int) -> Any:
    return ir.VectorType(DOUBLE, count)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, _register(lanes.count))  # type: ignore[no-untyped-call]


def aligned(rows: int, columns: int) -> Floats:
    """Return an uninitialised (rows, columns) table that starts on a cache line."""
    slack = CACHE_LINE // 8
    memory = np.empty(rows * columns + slack)
    skipped = -memory.ctypes.data % CACHE_LINE // 8
    return memory[skipped : skipped + rows * columns].reshape(rows, columns)


def _numbers(numbers: list[int]) -> Any:
    return ir.Constant(ir.VectorType(NUMBER, len(numbers)), numbers)


def _spread(builder: Any, value: Any, count: int) -> Any:
    single = builder.insert_element(ir.Constant(_register(count), ir.Undefined), value, ir.Constant(NUMBER, 0))
    return builder.shuffle_vector(single, single, _numbers([0] * count))


def _lesser(builder: Any, left: Any, right: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", left, right), left, right)


def _lanewise(emit: Callable[[Any, Any, Any], Any]) -> Any:
    """Return the compiled function of two vectors that `emit` writes."""

    def typed(_typing: Any, left: Any, right: Any) -> Any:
        def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return emit(builder, *arguments)

        return left(left, right), lower

    return intrinsic(typed)


def _fill(_typing: Any, lanes: Any, _value: Any) -> Any:
    """fill(lanes, value): every lane holds `value`."""
    count = lanes.literal_value

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[1], count)

    return Lanes(count)(lanes, types.float64), lower


def _place(context: Any, builder: Any, table_type: Any, where: Any, count: int) -> Any:
    """Return the address of `count` lanes at (table, row, column); the table is C-contiguous."""
    table, row, column = where
    array = context.make_array(table_type)(context, builder, value=table)
    offset = builder.add(builder.mul(row, builder.extract_value(array.shape, 1)), column)
    return builder.bitcast(builder.gep(array.data, [offset]), _register(count).as_pointer())


def _load(_typing: Any, lanes: Any, table: Any, _row: Any, _column: Any) -> Any:
    """load(lanes, table, row, column): consecutive elements of one row of a C-contiguous float64 table."""
    count = lanes.literal_value

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(_place(context, builder, signature.args[1], arguments[1:], count))
        loaded.align = 8
        return loaded

    return Lanes(count)(lanes, table, types.int64, types.int64), lower


def _add_product(_typing: Any, total: Any, _factor: Any, vector: Any) -> Any:
    """add_product(total, factor, vector): total + factor · vector, the factor a scalar."""

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        product = builder.fmul(_spread(builder, arguments[1], total.count), arguments[2], flags=CONTRACT)
        return builder.fadd(arguments[0], product, flags=CONTRACT)

    return total(total, types.float64, vector), lower


def _by_sign(_typing: Any, vector: Any, _gain: Any, _loss: Any) -> Any:
    """by_sign(vector, gain, loss): in each lane the scalar `gain` where it is >= 0, else `loss`."""

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(_register(vector.count), [0.0] * vector.count)
        scalars = [_spread(builder, scalar, vector.count) for scalar in arguments[1:]]
        return builder.select(builder.fcmp_ordered(">=", arguments[0], zero), *scalars)

    return vector(vector, types.float64, types.float64), lower


def _lane(_typing: Any, vector: Any, number: Any) -> Any:
    """lane(vector, number): one lane; the number is a constant."""

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.extract_element(arguments[0], ir.Constant(NUMBER, number.literal_value))

    return types.float64(vector, number), lower


def _least(_typing: Any, vector: Any) -> Any:
    """least(vector): the least lane, found by halving."""

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        remaining, count = arguments[0], vector.count
        while count > 1:
            count //= 2
            low, high = list(range(count)), list(range(count, 2 * count))
            halves = [builder.shuffle_vector(remaining, remaining, _numbers(half)) for half in (low, high)]
            remaining = _lesser(builder, *halves)
        return builder.extract_element(remaining, ir.Constant(NUMBER, 0))

    return types.float64(vector), lower


def _first_equal(_typing: Any, vector: Any, _value: Any) -> Any:
    """first_equal(vector, value): number of the first lane that holds `value`, the number of lanes where none does."""

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        equal = builder.fcmp_ordered("==", arguments[0], _spread(builder, arguments[1], vector.count))
        mask = builder.bitcast(equal, ir.IntType(vector.count))
        return builder.zext(builder.cttz(mask, ir.Constant(ir.IntType(1), 0)), ir.IntType(64))

    return types.int64(vector, types.float64), lower


def _above(_typing: Any, vector: Any, _value: Any) -> Any:
    """above(vector, value): bit i is set where lane i > value; at most 64 lanes."""

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        above = builder.fcmp_ordered(">", arguments[0], _spread(builder, arguments[1], vector.count))
        mask = builder.bitcast(above, ir.IntType(vector.count))
        return mask if vector.count == 64 else builder.zext(mask, ir.IntType(64))

    return types.uint64(vector, types.float64), lower


def _lowest_bit(_typing: Any, _mask: Any) -> Any:
    """lowest_bit(mask): number of the lowest bit set, 64 where none is."""

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), lower


def _bits(_typing: Any, _mask: Any) -> Any:
    """bits(mask): how many bits are set."""

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), lower


def _or_above(_typing: Any, vector: Any, _cut: Any, _other: Any) -> Any:
    """or_above(vector, cut, other): in each lane its value where that is above the scalar `cut`, else `other`."""

    def lower(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        cut, other = (_spread(builder, scalar, vector.count) for scalar in arguments[1:])
        return builder.select(builder.fcmp_ordered(">", arguments[0], cut), arguments[0], other)

    return vector(vector, types.float64, types.float64), lower


def _store(_typing: Any, vector: Any, table: Any, _row: Any, _column: Any) -> Any:
    """store(vector, table, row, column): the reverse of load."""

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[1], arguments[1:], vector.count)
        builder.store(arguments[0], place).align = 8
        return context.get_dummy_value()

    return types.none(vector, table, types.int64, types.int64), lower


fill: Compiled = intrinsic(prefer_literal=True)(_fill)
load: Compiled = intrinsic(prefer_literal=True)(_load)
lane: Compiled = intrinsic(prefer_literal=True)(_lane)
add: Compiled = _lanewise(lambda builder, left, right: builder.fadd(left, right, flags=CONTRACT))
subtract: Compiled = _lanewise(lambda builder, left, right: builder.fsub(left, right, flags=CONTRACT))
multiply: Compiled = _lanewise(lambda builder, left, right: builder.fmul(left, right, flags=CONTRACT))
minimum: Compiled = _lanewise(_lesser)
add_product: Compiled = intrinsic(_add_product)
by_sign: Compiled = intrinsic(_by_sign)
least: Compiled = intrinsic(_least)
first_equal: Compiled = intrinsic(_first_equal)
above: Compiled = intrinsic(_above)
lowest_bit: Compiled = intrinsic(_lowest_bit)
store: Compiled = intrinsic(_store)
bits: Compiled = intrinsic(_bits)
or_above: Compiled = intrinsic(_or_above)
