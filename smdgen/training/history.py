"""How a training went: its losses as a table, a figure and a verdict."""

from pathlib import Path

from smdgen.files import atomic_path
from smdgen.method.presets import Fitting
from smdgen.training.fit import FitState
from smdgen.view.figures import plot_history


def history_files(folder: Path, name: str) -> tuple[Path, ...]:
    """`<name>-losses.csv`, `.png`, `.pdf` and `.svg`."""
    return tuple(folder / f"{name}-losses.{kind}" for kind in ("csv", "png", "pdf", "svg"))


def loss_verdict(state: FitState, settings: Fitting) -> tuple[str, tuple[str, ...]]:
    """How a training went, in words: a row of the table, and notes where it went wrong.

    Args:
        state: Where it ended.
        settings: How it was trained.
    """
    losses = state.history["validation loss"]
    diverged = state.diverged(settings)
    kept = len(losses) if settings.keep_last and not diverged else state.best_epoch
    value = losses[kept - 1] if kept else state.first_loss
    row = f"{state.first_loss:.4g} before training, {value:.4g} kept (epoch {kept} of {len(losses)})"
    if state.best_epoch == 0:
        return row, (
            f"nothing was learned: the validation loss is {min(losses):.4g} at its lowest and "
            f"{state.first_loss:.4g} before training, so the weights are those before training; train for "
            "more epochs, on more pulls, or with a lower learning_rate in a --config file",
        )
    if not diverged:
        return row, ()
    training = state.history["loss"]
    if training[-1] < training[kept - 1]:
        return row, (
            f"overfitting: after epoch {kept} the training loss still falls, to {training[-1]:.4g}, but the "
            f"validation loss rises, to {losses[-1]:.4g}; the weights are of that epoch. More pulls help",
        )
    return row, (
        f"training diverged: the validation loss is {losses[-1]:.4g} at the end, {state.first_loss:.4g} "
        f"before training and {state.best_loss:.4g} at its lowest; the weights are those of epoch "
        f"{kept}. More pulls, a lower learning_rate or a smaller latent_size help",
    )


def write_history(folder: Path, name: str, history: dict[str, list[float]]) -> None:
    """Every loss term against the epoch, as a table and a figure."""
    table, figure, *_ = history_files(folder, name)
    lines = [",".join(["epoch", *(key.replace(" ", "_") for key in history)])]
    for epoch, row in enumerate(zip(*history.values(), strict=True), 1):
        lines.append(",".join([str(epoch), *(f"{value:.6g}" for value in row)]))
    with atomic_path(table) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    plot_history(figure, history)
