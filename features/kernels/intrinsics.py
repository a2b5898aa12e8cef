"""Single machine operations that Python has no word for."""
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

from typing import Any

import numba.extending
from llvmlite import ir
from numba.core import cgutils, types

intrinsic: Any = numba.extending.intrinsic  # its type shows the compile-time arguments, too


@intrinsic
def prefetch(typing_context, array, index):
    """Ask for the cache line of ``array[index]`` (1-D) early; without effect on any value."""

    def generate(context, builder, signature, arguments):
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = builder.bitcast(
            builder.gep(view.data, [arguments[1]]), ir.IntType(8).as_pointer()
        )
        flag = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag]),
            "llvm.prefetch.p0",
        )
        builder.call(function, [pointer, flag(1), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def float_from_bits(typing_context, bits):
    """Return the float64 with the bits of a uint64."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@intrinsic
def trailing_zeros(typing_context, word):
    """Return how many zero bits a uint64 ends with; 64 if all are."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.IntType(1)(0))

    return types.int64(types.uint64), generate
