"""Zeros from used memory: always zero, and never memory that somebody still holds."""

import numpy as np
import pytest
import torch

from h2rh_env.rendering.cpu.memory import zeros


@pytest.mark.parametrize("written", [(...,), (..., slice(1, 3), slice(0, 2))])
def test_written_memory_comes_back_as_zeros(written: tuple) -> None:
    addresses = set()
    for _ in range(5):
        array = zeros((2, 5, 7), np.float32, written)
        addresses.add(array.ctypes.data)
        assert not array.any()
        array[written] = 3
        del array
    assert len(addresses) == 1


def test_what_is_held_in_any_form_is_left_alone() -> None:
    first = zeros((3, 11), np.float32)
    first[:] = 1
    view, tensor = first[1:, ::2].T, torch.from_numpy(first)[2].clone().new_tensor(first[2])
    alias = torch.from_numpy(first)[0]
    del first
    second = zeros((3, 11), np.float32)
    second[:] = 2
    assert (view == 1).all()
    assert (alias == 1).all()
    assert (tensor == 1).all()
    del view
    third = zeros((3, 11), np.float32)
    assert not third.any()
    assert (alias == 1).all()
    assert (second == 2).all()


def test_dtypes_and_shapes_are_kept_apart() -> None:
    for shape, dtype in (((4,), np.uint8), ((4,), np.float32), ((2, 2), np.uint8), ((0, 3), np.float32)):
        array = zeros(shape, dtype)
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.writeable
        array[...] = 9
