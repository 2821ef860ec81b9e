"""A stream of clips out of shards, for training loops of your own, through ``webdataset``.

The loader of `bike train` (:mod:`bike.data.loader`) knows the list, reads frames by offset and gives the same batches
in any number of processes. This one reads tars from end to end and needs nothing but their address.
"""

from __future__ import annotations

import os
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tarfile import TarError
from typing import Any

import torch
import webdataset
from torch import Tensor
from torch.utils.data import IterableDataset
from webdataset.tariterators import group_by_keys, tar_file_expander
from webdataset.utils import pytorch_worker_info

from bike.data.order import sample_generator
from bike.data.spatial import draw_train_crop, test_crops, train_views
from bike.data.temporal import training_indices, validation_indices
from bike.data.views import sample_span
from bike.errors import DataError, one_line
from bike.files import reading
from bike.formats.packs import read_frames
from bike.formats.shards import StoredVideo, parse_stored
from bike.frames.shards import shard_folder
from bike.records import Sample


class VideoShards(IterableDataset[dict[str, Any]]):
    """Clips of the samples in a folder of shards, one dictionary each.

    ``frames``: uint8 (T, 3, S, S), before normalisation; ``label``: int, the first label of the sample, -1 where there
    is none; ``key``: str. A video that several rows of the list use gives one item for each row.

    Whole shards are dealt out to ranks (torch.distributed, or ``$RANK`` and ``$WORLD_SIZE``) and then to the workers of
    a ``DataLoader``, so each sample comes once an epoch over all of them; ranks may get unequal numbers of samples. The
    frames and crop of a sample are drawn from (seed, epoch, key), wherever it is read.

    Args:
        place: folder written by `bike shard`, or its ``http://``, ``https://`` or ``s3://`` address. Remote shards come
            through the cache of :class:`bike.frames.remote.RemoteFolder`, checked against the manifest.
        num_segments: T, frames of a clip.
        input_size: S, pixels.
        train: random frames, window and mirror image; otherwise the first frame of each segment and the centre crop.
        shuffle: clips kept in memory to mix (each T · 3 · S² bytes); 0 leaves the order of the shards. Shards come in
            another order each epoch unless it is 0.
        min_area: smallest window as a share of the frame.
        flip: probability of the mirror image; 0 where left and right matter.
        seed: of all that is drawn.
        **remote: options of :class:`bike.frames.remote.RemoteFolder`.

    Raises:
        DataError: no shards, shards of video files (``--payload mp4``), or fewer shards than ranks. While iterating: a
            damaged shard or sample, by name.
        BikeError: the address can't be reached.
    """

    def __init__(
        self,
        place: Path | str,
        *,
        num_segments: int = 8,
        input_size: int = 224,
        train: bool = True,
        shuffle: int = 100,
        min_area: float = 0.08,
        flip: float = 0.5,
        seed: int = 0,
        **remote: Any,
    ) -> None:
        super().__init__()
        self._folder = shard_folder(place, **remote)
        self.manifest = self._folder.manifest
        if self.manifest["payload"] != "mjpg":
            raise DataError(
                f"{self._folder.name}: holds video files. Write shards of frames, with `bike shard --payload mjpg`."
            )
        self.num_segments, self.input_size, self.train = num_segments, input_size, train
        self.shuffle, self.min_area, self.flip, self.seed = shuffle, min_area, flip, seed
        # Shared, so that workers which live on between epochs (persistent_workers) see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (from 0): another order of shards, other frames and crops."""
        self._epoch.fill_(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        epoch = int(self._epoch)
        names = [shard["name"] for shard in self.manifest["shards"]]
        rank, num_ranks, worker, _ = pytorch_worker_info()
        if len(names) < num_ranks:
            raise DataError(
                f"{self._folder.name}: {len(names)} shards for {num_ranks} ranks. Write smaller shards (--max-size)."
            )
        opened: list[str] = []
        stages: list[Any] = []
        if self.shuffle > 0:
            # Seeds are texts, which Random hashes the same in every process. The order of shards is the same on every
            # rank, since split_by_node deals them out by their places in it.
            random.Random(f"{self.seed} {epoch}").shuffle(names)
            mixed = random.Random(f"{self.seed} {epoch} {rank} {worker}")
            stages = [webdataset.shuffle(self.shuffle, initial=self.shuffle, rng=mixed)]
        return iter(
            webdataset.DataPipeline(
                webdataset.SimpleShardList(names),
                webdataset.split_by_node,
                webdataset.split_by_worker,
                lambda shards: self._open_shards(shards, opened),
                tar_file_expander,
                group_by_keys,
                lambda videos: self._clips(videos, epoch, opened),
                *stages,
            )
        )

    def _open_shards(self, shards: Iterator[dict[str, str]], opened: list[str]) -> Iterator[dict[str, Any]]:
        for shard in shards:
            with os.fdopen(self._folder.open(shard["url"]), "rb") as stream:
                opened.append(shard["url"])
                yield {"url": shard["url"], "stream": stream}

    def _check_complete(self, opened: list[str], found: Counter[str]) -> None:
        """To tarfile, zeros or a damaged header between two members are the end of the tar: it would not notice."""
        samples = {shard["name"]: shard["samples"] for shard in self.manifest["shards"]}
        for name in opened:
            if found[name] != samples[name]:
                raise DataError(
                    f"{self._folder.place(name)}: {found[name]} samples, the manifest says {samples[name]}. "
                    "Run `bike shard` again."
                )

    def _clips(self, videos: Iterator[dict[str, Any]], epoch: int, opened: list[str]) -> Iterator[dict[str, Any]]:
        found: Counter[str] = Counter()
        while True:
            try:  # around the reading alone: what goes wrong in a clip is not the tar's fault
                video = next(videos, None)
            except (TarError, OSError, EOFError, ValueError) as error:
                raise DataError(
                    f"{self._folder.name}: not a sound shard ({one_line(error)}). Run `bike shard` again."
                ) from error
            if video is None:
                self._check_complete(opened, found)
                return
            name, pack = self._folder.place(video["__url__"]), video.get("mjpg", b"")
            stored = parse_stored(video.get("json", b""), video["__key__"], len(pack), name)
            found[video["__url__"]] += len(stored.samples)
            for sample in stored.samples:
                with reading(f"{name}: sample {sample.key}"):
                    frames = self._clip(pack, stored, sample, epoch)
                yield {"frames": frames, "label": sample.labels[0] if sample.labels else -1, "key": sample.key}

    def _clip(self, pack: bytes, stored: StoredVideo, sample: Sample, epoch: int) -> Tensor:
        """Choose, decode and cut the frames of a sample: uint8 (T, 3, S, S)."""
        if stored.offsets is None:
            raise DataError("a video file, in shards of frames. Write the shards again with `bike shard`.")
        span = sample_span(sample, stored.frames, stored.fps)
        # Samples have no row here, and hash() of a text differs from process to process.
        generator = sample_generator(self.seed, epoch, zlib.crc32(sample.key.encode("utf-8", "surrogateescape")))
        if self.train:
            indices = training_indices(len(span), self.num_segments, generator, first_frame=span.start)
        else:
            indices = validation_indices(len(span), self.num_segments, first_frame=span.start)
        places = stored.kept.places(indices, span)
        frames = torch.from_numpy(read_frames(pack, stored.offsets, places, checksums=stored.checksums))
        if not self.train:
            return test_crops(frames, self.input_size, 1)
        height, width = frames.shape[1:3]
        crop = draw_train_crop(generator, height, width, min_area=self.min_area, flip=self.flip)
        return train_views(frames, crop, self.input_size)
