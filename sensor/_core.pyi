"""The packet core, written in Rust (`sensor/core`): capture bytes in, record batches out."""

from collections.abc import Iterator

__version__: str
"""Version of the packet core."""

class CaptureError(Exception):
    """A capture cannot be read: not a capture file, empty, unreadable, unknown link type. The text is one line: what to do."""

class Batch:
    """One record batch of one table, at most 65,536 rows or 8 MiB uncompressed."""

    @property
    def table(self) -> str:
        """Name of the table (`sensor.tables.TABLES`)."""
    @property
    def sequence(self) -> int:
        """Number of the batch within (sensor, epoch), from 0, without gaps, over all tables."""
    @property
    def rows(self) -> int:
        """Number of rows."""
    @property
    def cut(self) -> int:
        """Number of the cut; the batches of one cut cover the same packets."""
    @property
    def cut_start(self) -> int:
        """Packet clock at the end of the cut before, nanoseconds since 1970."""
    @property
    def cut_end(self) -> int:
        """Packet clock at the end of this cut, nanoseconds since 1970."""
    @property
    def cut_last(self) -> bool:
        """Whether this is the last batch of its cut."""
    def ipc(self) -> bytes:
        """The batch as an Arrow IPC stream, lz4, schema metadata as in `sensor.tables.METADATA`. The GIL is released."""
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The batch through the Arrow C stream interface, without a copy (Arrow PyCapsule interface)."""

class Reader(Iterator[Batch]):
    """Reads one capture and yields its record batches in order of `sequence`. The GIL is released while packets are worked on.

    Reading the same file again gives the same batches. Standard input is a live source: its batches are also cut by time.

    Args:
        path: capture file (pcap or pcapng, plain, gzip or zstd), or "-" for standard input.
        site: name of the site, for the metadata.
        sensor: name of the sensor, for the metadata.
        epoch: epoch to use for a live source; None draws a random one. A file's epoch is the hash of its content.
        first_sequence: sequence of the first batch of a live source that goes on with an epoch.
        live: cut at least every 500 ms of wall time. Always so for "-".
        packets: folder and quota in bytes of a ring in which the packets are kept; None keeps none.

    Raises:
        CaptureError: nothing can be read, or the folder of the ring cannot be used.
    """

    def __init__(
        self,
        path: str,
        *,
        site: str = "",
        sensor: str = "",
        epoch: str | None = None,
        first_sequence: int = 0,
        live: bool = False,
        packets: tuple[str, int] | None = None,
    ) -> None: ...
    def __iter__(self) -> Reader: ...
    def __next__(self) -> Batch: ...
    def stop(self) -> None:
        """Take in no more packets; iteration ends once the records of those already taken in are out. Safe from any thread."""
    @property
    def epoch(self) -> str:
        """32 hexadecimal digits: BLAKE3 of the file's content, or random for a live source."""
    @property
    def format(self) -> str:
        """What the capture is, as in "pcapng, zstd"."""
    @property
    def size(self) -> int | None:
        """Bytes of the file as it is on disk; None for standard input."""
    @property
    def position(self) -> int:
        """Bytes of the file (as it is on disk) read so far."""
    @property
    def packets(self) -> int:
        """Packets taken in so far."""
    @property
    def warnings(self) -> list[str]:
        """One line for each thing that could not be read (a truncated end, an unknown link type of one interface, …)."""
    def take_warnings(self) -> list[str]:
        """Those of `warnings` since the last look."""

class LiveReader(Iterator[Batch]):
    """Captures from network interfaces and yields record batches in order of `sequence`.

    Interfaces are opened at once, packets are worked on from the first batch that is asked for; the GIL is released while batches
    are waited for. Nothing is ever sent. An interface that goes away is opened again when it returns; that, and packets that were
    lost, is told in table `sensor` (`sensor.drops`): `capture_dropped:IF` packets for which the ring had no room,
    `capture_frozen:IF` times that it was full, `interface_away:IF` times that the interface was gone or down.

    Args:
        interfaces: names of 1 to 16 interfaces.
        site: name of the site, for the metadata.
        sensor: name of the sensor, for the metadata.
        epoch: epoch to use; None draws a random one.
        first_sequence: sequence of the first batch of a source that goes on with an epoch.
        bpf: which packets to let in, as in pcap-filter(7), compiled by the system's libpcap; None for all.
        workers: threads that work on packets, 1 to 6; the kernel spreads conversations over them.
        ring_bytes: memory for packets not yet worked on, for each worker and interface, 1 MiB to 1 GiB.
        packets: folder and quota in bytes of a ring in which the packets are kept; None keeps none. Packets for which the disk is
            too slow are counted as `packets_not_kept`.

    Raises:
        CaptureError: the right CAP_NET_RAW is missing, an interface is not there, or the filter is wrong.
        ValueError: a number is out of its bounds.
    """

    def __init__(
        self,
        interfaces: list[str],
        *,
        site: str = "",
        sensor: str = "",
        epoch: str | None = None,
        first_sequence: int = 0,
        bpf: str | None = None,
        workers: int = 1,
        ring_bytes: int = 16_777_216,
        packets: tuple[str, int] | None = None,
    ) -> None: ...
    def __iter__(self) -> LiveReader: ...
    def __next__(self) -> Batch: ...
    def stop(self) -> None:
        """Take in no more packets; iteration ends once the records of those that have come are out. Safe from any thread."""
    @property
    def epoch(self) -> str:
        """32 hexadecimal digits."""
    @property
    def format(self) -> str:
        """The interfaces, as in "eth1, eth2"."""
    @property
    def packets(self) -> int:
        """Packets taken in so far."""
    def tell(self, *, spool_depth: int, bytes_written: int, drops: dict[str, int]) -> None:
        """Tell table `sensor`, from the next cut on, what has been counted behind the capture: safe from any thread.

        Args:
            spool_depth: batches in the spool not yet shipped.
            bytes_written: bytes written to the disk; what the ring of packets has written is added.
            drops: what was dropped or refused, by cause.
        """
    @property
    def kept_bytes(self) -> int:
        """Bytes that the ring of packets has written to the disk."""
    @property
    def losses(self) -> dict[str, int]:
        """Packets lost and interfaces away since the start, by cause and interface, as in `sensor.drops`."""
    def take_warnings(self) -> list[str]:
        """One line for each thing that happened to an interface since the last look, at most the last 200; all is counted too."""

class Evidence:
    """Packets out of rings."""

    @property
    def file(self) -> bytes:
        """The packets as a pcapng file with times in nanoseconds."""
    @property
    def packets(self) -> int:
        """Number of packets."""
    @property
    def span(self) -> tuple[int, int] | None:
        """Time of the first and of the last packet, nanoseconds since 1970; None where there is none."""
    @property
    def limited(self) -> bool:
        """Whether there are more packets than the limit allows."""
    @property
    def parts(self) -> list[tuple[str, int, str, int]]:
        """Segments that packets were taken from: file, bytes, SHA-256 of these bytes, packets taken."""

def evidence(
    folders: list[tuple[str, int, int]],
    *,
    start: int,
    end: int,
    flows: list[str] = ...,
    pairs: list[tuple[str, str | None]] = ...,
    limit_bytes: int,
    mask_values: bool = False,
    comment: str = "",
) -> Evidence:
    """The packets of some conversations, in order of time.

    A packet that an earlier folder has too is taken once.

    Args:
        folders: folders of segments, each with the earliest and the latest time that is asked of it.
        start: earliest time, nanoseconds since 1970.
        end: latest time.
        flows: Community IDs of conversations.
        pairs: two addresses, or one and None for any other. With no flows and no pairs: all packets.
        limit_bytes: most bytes of packets.
        mask_values: zeros in place of bytes that carry values; checksums of what was changed become zero.
        comment: comment of the file's section.

    Raises:
        OSError: a folder cannot be read.
        ValueError: an address is none.
    """

def clock_offset() -> tuple[int, int] | None:
    """What the kernel knows of this machine's clock: offset that is still being corrected, greatest error, both in nanoseconds.

    None where no time service keeps the clock (adjtimex(2)).
    """

def capture_span(path: str) -> tuple[int, int] | None:
    """Earliest and latest time of a capture file's packets, nanoseconds since 1970; None where it has none.

    The packets are not looked into. Raises CaptureError.
    """

def drop_privileges(user_id: int | None = None, group_id: int | None = None) -> None:
    """Keep CAP_NET_RAW and give up every other capability; become this user and group where both are given.

    To be called before threads are started that are to capture. Raises OSError.
    """

def restrict_system_calls() -> None:
    """Refuse all threads the system calls that a recording sensor has no use for: they fail with EPERM. There is no way back.

    What stays possible: files, memory, threads, and packet sockets that only listen. Raises OSError.
    """

def without(data: bytes, column: str, values: list[str], unless: str | None = None) -> tuple[bytes, int]:
    """The rows of a batch whose `column` holds none of `values`, and how many these are.

    A row that holds no value stays, and so does one that holds any value in the column `unless`. The numbers of the rows that
    are left are in the last column, `icsight.row` (u32); metadata and types are those of the batch.

    Args:
        data: an Arrow IPC stream.
        column: a choice, or a flag with the values "true" and "false".
        values: words.
        unless: another column, or None.

    Raises:
        ValueError: the bytes are no such batch.
    """

def schema(table: str) -> list[tuple[str, str, bool]]:
    """The columns that the core builds for a table: (name, kind as in `sensor.tables.Kind`, nullable). Raises KeyError."""

def choices(table: str, column: str) -> list[str]:
    """The dictionary of a choice column, in key order. Raises KeyError."""
