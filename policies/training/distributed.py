"""Distributed training: several processes that train one network together, as torchrun starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed

LONGEST_WAIT = timedelta(hours=6)  # while the first process judges by acting, the others wait


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Joins the processes that torchrun started, if it did, and yields the device of this one."""
    if "WORLD_SIZE" not in os.environ:
        yield device
        return
    on_gpu = device.startswith("cuda")
    if on_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=LONGEST_WAIT)
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def count() -> int:
    """The number of processes; 1 without torchrun."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def number() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def wait_for_all() -> None:
    """Waits until every process has called this."""
    if distributed.is_initialized():
        distributed.barrier()
