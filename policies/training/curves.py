"""Learning curves: the loss terms of a run and what is handed over in rollouts, as a PNG and for TensorBoard."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from h2rh_env.utils import files

from .behaviour_cloning import History


def draw_curves(path: Path | str, history: History, handed_over: Sequence[tuple[float, float]] = ()) -> None:
    """Writes a figure of the loss terms by epoch, learning and validation.

    Args:
        handed_over: (epoch, rate in [0, 1]) of rollouts; the epochs before each round of DAgger are counted through.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [key.removeprefix("learning_") for key in history[0] if key.startswith("learning_")]
    figure, axes = pyplot.subplots(1, len(names) + bool(handed_over), figsize=(16, 3.2), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axis, name in zip(axes, names, strict=False):
        for part in ("learning", "validation"):
            if f"{part}_{name}" in history[0]:
                axis.semilogy(
                    epochs, [terms.get(f"{part}_{name}", float("nan")) for terms in history], label=part
                )
        axis.set(title=f"{name} loss", xlabel="epoch")
        axis.legend()
    if handed_over:
        axes[-1].plot(*zip(*handed_over, strict=True), "o-")
        axes[-1].set(title="handed over in rollouts", xlabel="epoch", ylim=(0, 1.02))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    pyplot.close(figure)
    files.write_bytes(path, buffer.getvalue())


def log_epoch(folder: Path | str, epoch: int, values: Mapping[str, float]) -> None:
    """Adds an epoch's values to a folder that TensorBoard reads; does nothing where it is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(str(folder)) as writer:
        for name, value in values.items():
            writer.add_scalar(name.replace("_", "/", 1), value, epoch)
