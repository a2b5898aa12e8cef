"""Where a dataflow writes: online rows, the event archive, dead letters."""

from .archive import ArchiveSink
from .base import KeyedSink
from .dead_letters import DeadLetterSink
from .flush import RowFlush
from .rows import RowSink

__all__ = ["ArchiveSink", "DeadLetterSink", "KeyedSink", "RowFlush", "RowSink"]
