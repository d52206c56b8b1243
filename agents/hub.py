"""Checkpoints of the Hugging Face hub: from its cache on this machine, or over the network when that is asked for.

Only safetensors, tokenizers and JSON are fetched. This file does not judge whether a checkpoint is safe.
"""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from .errors import CheckpointFetchFailed, CheckpointNotFound

WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def cached(base: str) -> Path | None:
    """The folder of `organisation/name` or `organisation/name@revision` in the cache; None where it is not there."""
    name, _, revision = base.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, local_files_only=True, allow_patterns=WANTED))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def fetch(base: str) -> Path:
    """Fetches `organisation/name` or `organisation/name@revision` into the cache, with the hub's own progress bar.

    Raises:
        CheckpointNotFound: the hub does not have it.
        CheckpointFetchFailed: the hub cannot be reached.
    """
    name, _, revision = base.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=WANTED))
    except (HfHubHTTPError, HFValidationError) as error:
        raise CheckpointNotFound(f"the hub does not give {base!r}: {error}") from error
    except OSError as error:  # LocalEntryNotFoundError among them: not cached, and no network
        raise CheckpointFetchFailed(
            f"{base!r} could not be fetched from the hub: {error}. If there is no network here, fetch it on a machine "
            f"that has some, copy the folder, and name the folder instead"
        ) from error
