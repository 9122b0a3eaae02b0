"""TensorBoard events of a run (needs the extra ``[track]``)."""

from dataclasses import asdict
from pathlib import Path

from fastpg.system.extras import missing_extra
from fastpg.training.metrics_file import Row, plain


class TensorBoard:
    """Writes event files in the run's folder: a scalar ``fastpg/NAME`` per figure and update."""

    def __init__(self, run_dir: str | Path, last_update: int | None = None):
        """Open a new event file.

        Args:
            run_dir: folder of the run.
            last_update: of the checkpoint that the run is resumed from, or None. TensorBoard then
                hides the events of later updates.

        Raises:
            ImportError: tensorboardX is not installed.
        """
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError(f"TensorBoard: {missing_extra('track')}") from error
        purge = None if last_update is None else last_update + 1
        self._writer = tensorboardX.SummaryWriter(str(run_dir), purge_step=purge)

    def write(self, row: Row) -> None:
        """Add the row's figures, except those that are None or not finite."""
        for name, value in asdict(row).items():
            value = plain(value)
            if value is not None and name != "update":
                self._writer.add_scalar(f"fastpg/{name}", value, row.update)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()
