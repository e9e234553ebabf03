"""Downloads the published v1 files: on from where a download stopped, and checked against their hashes."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from jbdiff.stacks.published import PublishedFile

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30.0  # without a byte; the whole may take hours


class FetchError(RuntimeError):
    """A file that could not be fetched whole; says why and what to do."""


def fetch(
    file: PublishedFile, folder: Path, on_progress: Callable[[int, int], None] = lambda done, of: None
) -> Path:
    """Download a file into `folder` under its published name, unless it is there with the right hash.

    The bytes that have arrived lie in `NAME.part` and are kept for the next try. on_progress(done, of) counts bytes;
    `of` is 0 if the server does not give the size. Raises FetchError without a network, if the server refuses, and if
    the hash differs. A part with a wrong hash is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, part = folder / file.name, folder / (file.name + ".part")
    if target.is_file():
        if _sha256(target) == file.sha256:
            return target
        raise FetchError(f"{target} is there and is not the published file; move it away and fetch again")
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(file.address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                have = 0  # the server began at the beginning
            rest = int(answer.headers.get("Content-Length") or 0)
            total = have + rest if rest else 0
            with part.open("ab" if have else "wb") as handle:
                while chunk := answer.read(CHUNK_BYTES):
                    handle.write(chunk)
                    have += len(chunk)
                    on_progress(have, total)
        if total and have < total:
            raise FetchError(f"{file.name} broke off at {have:,} of {total:,} bytes; fetch again to go on")
    except urllib.error.HTTPError as error:
        # 416: everything asked for is there already, and only the check is missing.
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise FetchError(f"the server refused {file.name}: {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise FetchError(
            f"no network, or the server cannot be reached ({error.reason}). Fetch {file.address} on another "
            f"machine and put it into {folder} as {file.name!r}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(
            f"{file.name} broke off at {have:,} bytes ({error}); fetch again to go on"
        ) from error
    actual = _sha256(part)
    if actual != file.sha256:
        part.unlink()
        raise FetchError(
            f"{file.name} arrived damaged or is another file: SHA-256 {actual[:12]}..., expected "
            f"{file.sha256[:12]}...; it was removed, fetch again"
        )
    part.replace(target)
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
