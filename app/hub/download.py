"""Download the files of a plan: resumed after anything, checked by hash, and given their names only then.

huggingface_hub does not resume between calls, does not check content over HTTP and gives up at the first reset; this
does all three. Each attempt asks the hub again (signed addresses expire), and what is there already is kept unless the
hub now has another file.
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from app.errors import Cancelled, HubError, OfflineError
from app.hub.messages import Download, Downloaded, DownloadPhase, DownloadPlan, DownloadProgress
from app.hub.part import SUFFIX, Digests, Expected, Part, name_taken
from app.hub.plan import checked, plan_as_dict
from app.hub.repository import RemoteFile
from app.hub.transport import Hub, Timeouts, Transport, check_status, retry_after_s
from app.library.manifest import FileOrigin, note_origin, read_manifest
from app.library.verify import sha256_of
from app.operation import Context, Notice, Report, ShouldStop
from app.system.files import require_room

if TYPE_CHECKING:
    import httpx2


_log = logging.getLogger(__name__)
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_DAMAGED = 3
"""Downloads of one file whose hash was wrong before it is given up."""
_MAX_CONTRADICTIONS = 3
"""Attempts at which the hub names one size and sends another before the file is given up."""
_MAX_TRANSFERS = 3
"""Times the size of a file that are taken for it at the most: a server without ranges begins anew at each attempt."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. Waits double from the first to the longest; without a new byte for `give_up_s` of them it ends."""

    first_wait_s: float = 1.0
    longest_wait_s: float = 30.0
    give_up_s: float = 1800.0
    timeouts: Timeouts = field(default=Timeouts(10.0, 30.0))


class _Again(Exception):  # noqa: N818 - it ends an attempt and is no error
    """This attempt has ended and another may go on from what is there. `sentence` says why."""

    def __init__(self, sentence: str, wait_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.wait_s = wait_s


def download(request: Download, context: Context, patience: Patience | None = None) -> Downloaded:
    """Download what is not there yet, file by file. A file that is there and right is left as it is.

    What has arrived is kept whatever happens. Raises Cancelled, GatedError, OfflineError (after long patience),
    HubError, DiskFullError, StorageError.
    """
    plan = checked(request.plan)
    missing = [file for file in plan.files if not _is_there(plan, file)]
    _log.debug("download: %d of %d files are missing", len(missing), len(plan.files))
    check_room(plan, missing)
    total = sum(file.size_bytes for file in plan.files)
    hub = Hub(plan.endpoint, request.token)
    with Meter(context.report, total) as meter:
        meter.skip(total - sum(file.size_bytes for file in missing))
        for file in missing:
            _File(plan, file, hub, meter, context.report, context.stop, patience or Patience()).fetch()
    return Downloaded(plan.repository, plan.revision, tuple(plan.folder / file.path for file in plan.files))


def _is_there(plan: DownloadPlan, file: RemoteFile) -> bool:
    """Whether the file is whole under its final name. Raises StorageError where another one has the name."""
    target = plan.folder / file.path
    if not target.exists():
        return False
    known = read_manifest(plan.folder).files.get(file.path)
    if target.is_file() and target.stat().st_size == file.size_bytes:
        if known and file.sha256 in ("", known.sha256):
            return True
        if file.sha256 and sha256_of(target) == file.sha256:
            _note_origin(plan, file, file.sha256, plan.revision)
            return True
        if not file.sha256:  # a small text, without a hash that could be compared: fetched anew
            target.unlink()
            return False
    raise name_taken(target)


class _File:
    """The download of one file: attempts, until one of them brings the last byte."""

    def __init__(
        self,
        plan: DownloadPlan,
        file: RemoteFile,
        hub: Hub,
        meter: Meter,
        report: Report,
        stop: ShouldStop,
        patience: Patience,
    ) -> None:
        self._plan, self._file, self._hub = plan, file, hub
        self._meter, self._report, self._stop = meter, report, stop
        self._patience = patience
        self._revision = plan.revision
        self._damaged = self._contradictions = 0
        self._told = False
        self._received_bytes = 0
        """The bytes of all attempts of this process together."""
        self._digests: Digests | None = None
        """The hashes of exactly what is in the part; None where it has to be read again."""

    def fetch(self) -> None:
        """Fetch until the file is there. Raises as `download` does."""
        target = self._plan.folder / self._file.path
        with Part(target, plan_as_dict(self._plan)) as part:
            try:
                sha256 = self._attempts(part)
                part.finish()
            except BaseException:
                if part.size_bytes == 0:
                    part.remove()
                raise
        _note_origin(self._plan, self._file, sha256, self._revision)
        self._meter.next_file()

    def _attempts(self, part: Part) -> str:
        """Returns the sha256 of the whole file, which is in the part now."""
        wait_s, waited_s = self._patience.first_wait_s, 0.0
        furthest = part.size_bytes
        while True:
            try:
                return self._attempt(part)
            except (_Again, OfflineError) as error:
                sentence, least_s = error.sentence, error.wait_s if isinstance(error, _Again) else 0.0
            _log.debug("attempt ended with %d bytes: %s", part.size_bytes, self._without_names(sentence))
            if part.size_bytes > furthest:
                furthest = part.size_bytes
                wait_s, waited_s = self._patience.first_wait_s, 0.0
            if waited_s >= self._patience.give_up_s:
                hint = "What has arrived is kept. Go on with the download when the network is back."
                raise OfflineError(sentence, hint)
            self._wait(sentence, max(wait_s, least_s))
            waited_s += max(wait_s, least_s)
            wait_s = min(2 * wait_s, self._patience.longest_wait_s)

    def _without_names(self, sentence: str) -> str:
        """The sentence for the debug log, which names no file and no mirror."""
        return sentence.replace(f"“{self._file.name}”", "the file").replace(self._hub.host, "the hub")

    def _wait(self, sentence: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._check_stop()
            self._meter.say(DownloadPhase.WAITING, f"{sentence.rstrip('.')}. Trying again in {left:.0f} s.")
            time.sleep(min(left, 0.05))

    def _attempt(self, part: Part) -> str:
        self._check_stop()
        with Transport(self._hub, timeouts=self._patience.timeouts) as transport:
            self._meter.say(DownloadPhase.CONNECTING)
            expected = self._ask(transport)
            self._compare(part, expected)
            check = "sha256" if expected.is_sha256 else "git blob" if _is_hash(expected.etag) else "size only"
            _log.debug("attempt: %d of %d bytes are there, check: %s", part.size_bytes, expected.size_bytes, check)
            digests = self._digests_of(part, expected)
            if part.size_bytes < expected.size_bytes:
                self._body(transport, part, expected, digests)
        _log.debug("whole: %s", "right" if digests.is_right else "damaged")
        if digests.is_right:
            return digests.sha256
        self._damaged += 1
        self._begin_anew(part)
        if self._damaged >= _MAX_DAMAGED:
            raise HubError(
                f"“{self._file.name}” arrived damaged {_MAX_DAMAGED} times.",
                "Something on the way changes it, or the file on the hub is damaged. Try another network or mirror.",
            )
        raise _Again(f"“{self._file.name}” arrived damaged")

    # asking

    def _ask(self, transport: Transport) -> Expected:
        """What the hub has now under this name."""
        url = self._hub.file_url(self._plan.repository, self._revision, self._file.path)
        with transport.stream("HEAD", url, follow=False) as response:
            if self._is_gone(response):
                self._revision = "main"
                self._report(Notice(f"{self._plan.repository} has a newer version on the hub, which is taken now."))
                raise _Again("The hub no longer has this version")
            if not response.is_redirect:
                _check(response, self._hub)
            headers = response.headers
            self._revision = headers.get("x-repo-commit", self._revision)
            linked = headers.get("x-linked-etag")
            etag = (linked or headers.get("etag") or "").removeprefix("W/").strip('"')
            size = headers.get("x-linked-size") or ("" if response.is_redirect else headers.get("content-length", ""))
        size_bytes = int(size) if size and size.isdigit() else self._file.size_bytes
        if not _is_hash(etag):
            etag = self._listed_hash() or etag
        if not _is_hash(etag) and not self._told:
            self._told = True
            self._report(Notice(f"The hub names no checksum for “{self._file.name}”: only its size can be compared."))
        return Expected(etag, size_bytes, is_sha256=len(etag) == 64)

    def _listed_hash(self) -> str:
        """The hash that the repository's list named for the same version: a redirect or a mirror may name none."""
        return self._file.sha256 if self._revision == self._plan.revision else ""

    def _is_gone(self, response: httpx2.Response) -> bool:
        missing = response.headers.get("x-error-code") == "RevisionNotFound"
        return missing and response.status_code == 404 and self._revision != "main"

    def _compare(self, part: Part, expected: Expected) -> None:
        """Keep what is there only where it is of the same file."""
        before = part.expected()
        if part.size_bytes and (before is None or before.etag != expected.etag):
            self._begin_anew(part)
            self._report(Notice(f"“{self._file.name}” has changed on the hub: its download starts over."))
        if part.size_bytes > expected.size_bytes:
            self._begin_anew(part)
        part.expect(expected)

    def _begin_anew(self, part: Part) -> None:
        _log.debug("what has arrived is thrown away: %d bytes", part.size_bytes)
        part.cut()
        self._digests = None
        self._meter.set_file(0)

    def _digests_of(self, part: Part, expected: Expected) -> Digests:
        """Those of what is in the part, which is read again only where this process has not seen it arrive."""
        if self._digests is None and part.size_bytes:
            self._meter.say(DownloadPhase.CHECKING)
            self._digests = Digests(expected)
            part.digest(self._digests, lambda _size: self._check_stop())
        self._digests = self._digests or Digests(expected)
        self._meter.set_file(part.size_bytes)
        return self._digests

    # the body

    def _body(self, transport: Transport, part: Part, expected: Expected, digests: Digests) -> None:
        """Append what is missing. Raises _Again where not all of it came."""
        url = self._hub.file_url(self._plan.repository, self._revision, self._file.path)
        have = part.size_bytes
        with transport.stream("GET", url, headers={"Range": f"bytes={have}-"} if have else {}) as response:
            self._check_body(response, part, expected)
            skip = 0 if response.status_code == 206 else have  # a server that knows no ranges sends all of it again
            self._meter.say(DownloadPhase.DOWNLOADING)
            self._copy(response, part, expected, digests, skip)
        if part.size_bytes < expected.size_bytes:
            raise _Again("The connection was lost")

    def _check_body(self, response: httpx2.Response, part: Part, expected: Expected) -> None:
        if response.status_code == 416:
            raise self._contradiction("The hub has less of the file than it says")
        if response.status_code == 403 and str(response.url).split("/")[:3] != self._hub.endpoint.split("/")[:3]:
            raise _Again("The address of the file has expired")
        _check(response, self._hub)
        length = response.headers.get("content-length", "")
        if response.status_code == 200 and length.isdigit() and int(length) > expected.size_bytes:
            raise self._contradiction("The hub sends more than it says the file has")
        if response.status_code == 206:
            start, _, total = response.headers.get("content-range", "").removeprefix("bytes ").partition("/")
            if start.split("-")[0] != str(part.size_bytes):
                raise _Again("The hub sent another part of the file than was asked for")
            if total.isdigit() and int(total) != expected.size_bytes:
                raise self._contradiction("The hub names two sizes for the file")

    def _contradiction(self, sentence: str) -> _Again:
        """What ends an attempt at which the hub contradicts itself. Raises HubError where that goes on."""
        self._contradictions += 1
        if self._contradictions < _MAX_CONTRADICTIONS:
            return _Again(sentence)
        raise HubError(
            f"“{self._file.name}” cannot be downloaded: the hub names one size for it and sends another.",
            "What has arrived is kept. Try again later, or another mirror.",
        )

    def _copy(self, response: httpx2.Response, part: Part, expected: Expected, digests: Digests, skip: int) -> None:
        left = expected.size_bytes - part.size_bytes
        for chunk in response.iter_raw():
            self._check_stop()
            self._count_received(len(chunk), expected)
            if skip:
                skipped = min(skip, len(chunk))
                skip, chunk = skip - skipped, chunk[skipped:]
            data = chunk[:left]
            part.append(data)
            digests.update(data)
            left -= len(data)
            self._meter.add(len(data))
            if not left:
                return

    def _count_received(self, size_bytes: int, expected: Expected) -> None:
        self._received_bytes += size_bytes
        if self._received_bytes > _MAX_TRANSFERS * max(expected.size_bytes, 1):
            raise HubError(
                f"“{self._file.name}” was sent {_MAX_TRANSFERS} times over and is not whole: the connection is lost "
                "each time, and the server begins anew.",
                "What has arrived is kept. Try a steadier network, or another mirror.",
            )

    def _check_stop(self) -> None:
        if self._stop():
            raise Cancelled


def _is_hash(etag: str) -> bool:
    """Whether an etag is a checksum of the content: a sha256, or the sha1 that git knows a blob by."""
    return len(etag) in (40, 64) and all(letter in "0123456789abcdef" for letter in etag.lower())


def _check(response: httpx2.Response, hub: Hub) -> None:
    """The same as check_status, but what may be over in a while is another attempt."""
    if response.status_code in _RETRIED:
        trouble = f"The hub has trouble (error {response.status_code})"
        raise _Again("The hub asks to wait" if response.status_code == 429 else trouble, retry_after_s(response))
    check_status(response, hub)


def _note_origin(plan: DownloadPlan, file: RemoteFile, sha256: str, revision: str) -> None:
    target = plan.folder / file.path
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    origin = FileOrigin(sha256, target.stat().st_size, plan.repository, revision, plan.endpoint, now)
    note_origin(plan.folder, file.path, origin)


# How far a download is, how fast, how long still: measured over the last seconds, said a few times a second.


_SAY_EVERY_S = 0.25
_WINDOW_S = 8.0
_LEAST_SPAN_S = 0.5


class Meter:
    """Counts bytes of all files of a download, and says so from a thread: also while nothing arrives.

    A context manager. The clock is monotonic: the wall clock may be changed meanwhile.
    """

    def __init__(self, report: Report, total_bytes: int) -> None:
        self._report = report
        self._total = total_bytes
        self._finished = 0
        self._file = 0
        self._phase = DownloadPhase.CONNECTING
        self._sentence = ""
        self._arrived: deque[tuple[float, int]] = deque()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._teller = threading.Thread(target=self._tell, name="download progress", daemon=True)

    def __enter__(self) -> Meter:
        self._teller.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, t: TracebackType | None) -> None:
        self._over.set()
        self._teller.join()

    def skip(self, size_bytes: int) -> None:
        """So much was there before."""
        with self._lock:
            self._finished += size_bytes

    def next_file(self) -> None:
        """The present file is whole."""
        with self._lock:
            self._finished, self._file = self._finished + self._file, 0

    def set_file(self, size_bytes: int) -> None:
        """So much of the present file is there; nothing of it arrived just now."""
        with self._lock:
            self._file = size_bytes
            self._arrived.clear()

    def add(self, size_bytes: int) -> None:
        """So much more has arrived."""
        now = time.monotonic()
        with self._lock:
            self._file += size_bytes
            if self._arrived and now - self._arrived[-1][0] < _SAY_EVERY_S / 5:
                self._arrived[-1] = (self._arrived[-1][0], self._arrived[-1][1] + size_bytes)
            else:
                self._arrived.append((now, size_bytes))

    def say(self, phase: DownloadPhase, sentence: str = "") -> None:
        """Another phase or sentence: a new phase is said at once, a sentence that counts down with the next turn."""
        with self._lock:
            is_new = phase is not self._phase
            self._phase, self._sentence = phase, sentence
            if is_new:
                self._arrived.clear()
        if is_new:
            self._report(self._progress())

    def _tell(self) -> None:
        while not self._over.wait(_SAY_EVERY_S):
            self._report(self._progress())

    def _progress(self) -> DownloadProgress:
        now = time.monotonic()
        with self._lock:
            while self._arrived and now - self._arrived[0][0] > _WINDOW_S:
                self._arrived.popleft()
            span = now - self._arrived[0][0] if self._arrived else 0.0
            speed = sum(size for _, size in self._arrived) / span if span > _LEAST_SPAN_S else 0.0
            done = min(self._finished + self._file, self._total)
            left = (self._total - done) / speed if speed else 0.0
            return DownloadProgress(self._phase, done, self._total, speed, left, self._sentence)


# Whether there is room on the disk before a download begins.


def needed_bytes(plan: DownloadPlan, missing: Sequence[RemoteFile]) -> int:
    """What the disk must still take: what has not arrived, and the room that a conversion will need."""
    arrived = sum(min(_part_bytes(plan.folder / file.path), file.size_bytes) for file in missing)
    return sum(file.size_bytes for file in missing) - arrived + plan.reserve_bytes


def check_room(plan: DownloadPlan, missing: Sequence[RemoteFile]) -> None:
    """Raises DiskFullError where there is not enough."""
    if not missing:
        return
    way = ", with the room to convert it" if plan.reserve_bytes else ""
    hint = "Free some space, or move Bantam's folder to a larger disk. What has arrived is kept."
    require_room(f"{plan.title} needs", needed_bytes(plan, missing), plan.folder, hint, way)


def _part_bytes(target: Path) -> int:
    try:
        return target.with_name(target.name + SUFFIX).stat().st_size
    except OSError:
        return 0
