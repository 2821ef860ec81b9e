"""Pretraining as the training loop takes it: branch, batches, updates; everything is a function of seed and step."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bike.data.spatial import normalize
from bike.model.encoders import Encoder, VisionTransformer
from bike.params import Pretrain
from bike.pretrain.stills import Stills
from bike.runtime.distributed import World, rank_part
from bike.text.tokenizer import tokenize
from bike.train.step import StepOptions

HIGHEST_LOGIT_SCALE = math.log(100)  # as in CLIP
HIGHEST_GRADIENT_NORM = 1.0
POINTS = 60  # of the training curves
CHECKS = 10  # points that have a caption accuracy, too


class Captioned:
    """Pictures, the distinct captions, and which caption each picture has.

    Many pictures share a caption, and captions share few tokens. So equal captions are encoded once a step, positions
    after the longest end-of-text are left out (they change no class embedding under the causal mask), and ids are
    renumbered 0 to U - 1 in their old order.

    Args:
        stills: those to train on, then those held out.
        num_held_out: how many of the last ones to check with.

    Attributes:
        pictures: uint8 (N, 3, S, S).
        which: (N,) number of each picture's caption.
        ids: (M, L) renumbered token ids of the captions.
        used: (U,) the tokenizer's ids in the order of their new numbers.
    """

    def __init__(self, stills: Stills, num_held_out: int) -> None:
        captions, which = np.unique(np.array(stills.captions), return_inverse=True)
        ids = tokenize([str(caption) for caption in captions])
        length = int(ids.argmax(dim=1).max()) + 1  # end-of-text has the highest id
        self.pictures = torch.from_numpy(stills.pictures)
        self.which = torch.from_numpy(which.reshape(-1))
        self.used, self.ids = torch.unique(ids[:, :length], return_inverse=True)
        self.num_train = len(self.which) - num_held_out

    def held_out(self) -> Tensor:
        """Rows of the stills that training doesn't see."""
        return torch.arange(self.num_train, len(self.which))


def shrink_vocabulary(encoder: Encoder, used: Tensor) -> nn.Embedding:
    """Leave only the rows ``used`` in the token table, so that steps needn't touch the others.

    Returns:
        The whole table, for :func:`restore_vocabulary`.
    """
    whole = encoder.token_embedding
    encoder.token_embedding = nn.Embedding(len(used), whole.embedding_dim, _weight=whole.weight.detach()[used].clone())
    return whole


@torch.no_grad()
def restore_vocabulary(encoder: Encoder, whole: nn.Embedding, used: Tensor) -> None:
    """Put the whole token table back, with the rows ``used`` as they were trained."""
    whole.weight[used] = encoder.token_embedding.weight
    encoder.token_embedding = whole


def learning_rate(step: int, params: Pretrain) -> float:
    """Linear warm-up, then half a cosine down to 0 at the last step."""
    if step < params.warmup_steps:
        return params.lr * (step + 1) / params.warmup_steps
    done = (step - params.warmup_steps) / max(params.steps - params.warmup_steps, 1)
    return params.lr * 0.5 * (1 + math.cos(math.pi * done))


def batch_rows(step: int, number: int, params: Pretrain) -> Tensor:
    """Which of ``number`` stills step ``step`` sees: each once an epoch, in an order of the epoch's own."""
    per_epoch = max(number // params.batch_size, 1)
    epoch, place = divmod(step, per_epoch)
    # 78, since the stills themselves are drawn from 77: the same seed must not give related numbers.
    order = np.random.default_rng([params.seed, 78, epoch]).permutation(number)
    return torch.from_numpy(order[place * params.batch_size : (place + 1) * params.batch_size])


def pair_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Contrastive loss of pictures and their distinct captions, both directions averaged; a scalar in fp64.

    Args:
        logits: (B, U), the pictures with the captions in the order of their numbers.
        labels: (B,) number of each picture's caption; a caption of several pictures has its share in each.
    """
    which = torch.unique(labels, return_inverse=True)[1]
    same = F.one_hot(which, logits.shape[1]).float()
    loss: Tensor = (F.cross_entropy(logits, which) + F.cross_entropy(logits.T, (same / same.sum(dim=0)).T)) / 2
    return loss.double()  # the sum over the steps of one point of the curve then rounds nothing


class CaptionBranch:
    """Both towers in training, on pictures and their captions.

    Args:
        encoder: on its device, with the vocabulary of ``data``.
        data: the captions.
    """

    def __init__(self, encoder: Encoder, data: Captioned) -> None:
        self.encoder, self.data = encoder, data
        self.parts: dict[str, nn.Module] = {"encoder": encoder}

    def embed(self, inputs: Tensor) -> Tensor:
        """Embeddings (B, D) of pictures, uint8 (B, 3, S, S)."""
        return self.encoder.encode_image(normalize(inputs.to(self.encoder.device)))

    def logits(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scaled logits (B, U) of pictures with the distinct captions among ``labels``, each encoded once."""
        captions = self.encoder.embed_text(self.data.ids[torch.unique(labels)].to(embeddings.device))
        return self.encoder.logit_scale.exp() * F.normalize(embeddings, dim=-1) @ F.normalize(captions, dim=-1).T


class StillBatches:
    """The stills of every step; the whole run is one epoch of the loop, since steps are counted here, not epochs."""

    def __init__(self, data: Captioned, params: Pretrain, world: World) -> None:
        self._data, self._params, self._world = data, params, world

    def __len__(self) -> int:
        return self._params.steps

    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's pictures, and the numbers of their captions."""
        for step in range(first_step, self._params.steps):
            rows = batch_rows(step, self._data.num_train, self._params)
            rows = rows[rank_part(len(rows), self._world.rank, self._world.size)]
            yield self._data.pictures[rows], self._data.which[rows]


class ClipUpdater:
    """AdamW as CLIP was trained with: no weight decay on biases, norms, scales and embeddings; bounded gradients and
    logit scale.
    """

    def __init__(self, branch: CaptionBranch, params: Pretrain) -> None:
        self._branch, self._params = branch, params
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in branch.encoder.named_parameters():
            # Fewer than two dimensions have the biases, the gains of norms and the logit scale.
            (matrices if parameter.ndim >= 2 and "embedding" not in name else others).append(parameter)
        groups = [{"params": matrices, "weight_decay": params.weight_decay}, {"params": others, "weight_decay": 0.0}]
        # Fused: the loop over tensors takes roots through MKL, where processors differ in the last digit.
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            groups, lr=params.lr, betas=(0.9, 0.98), eps=1e-6, fused=True
        )
        self.options = StepOptions(pair_loss)

    def set_rates(self, epoch: int, step: int) -> None:
        """Set the learning rate of a step, from 0."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self._params)

    def update(self) -> None:
        """Move the weights."""
        encoder = self._branch.encoder
        nn.utils.clip_grad_norm_(encoder.parameters(), HIGHEST_GRADIENT_NORM)
        self.optimizer.step()
        with torch.no_grad():
            encoder.logit_scale.clamp_(max=HIGHEST_LOGIT_SCALE)

    def values(self, step: int) -> dict[str, float]:
        """Learning rate and logit scale; about :data:`CHECKS` times in a run, and at its end, the caption accuracy."""
        encoder, steps = self._branch.encoder, self._params.steps
        values = {
            "pretrain/lr": self.optimizer.param_groups[0]["lr"],
            "pretrain/logit_scale": float(encoder.logit_scale.detach().exp()),
        }
        from_check, from_point = max(1, steps // CHECKS), max(1, steps // POINTS)
        # Points needn't fall on the steps of checks: the first point at or after one has it.
        if step == steps or step // from_check > (step - from_point) // from_check:
            values["pretrain/caption_top1"] = caption_accuracy(encoder, self._branch.data)
        return values


@torch.no_grad()
def embed_pictures(encoder: Encoder, pictures: Tensor) -> Tensor:
    """Embeddings (N, D) of pictures uint8 (N, 3, S, S), in chunks."""
    return torch.cat([encoder.encode_image(normalize(part.to(encoder.device))) for part in torch.split(pictures, 128)])


@torch.no_grad()
def caption_accuracy(encoder: Encoder, data: Captioned) -> float:
    """Per cent of the held-out stills whose nearest caption, of all distinct ones among them, is their own."""
    rows = data.held_out()
    present, which = torch.unique(data.which[rows], return_inverse=True)
    pictures = F.normalize(embed_pictures(encoder, data.pictures[rows]), dim=-1)
    captions = F.normalize(encoder.embed_text(data.ids[present].to(encoder.device)), dim=-1)
    return float((pictures @ captions.T).argmax(dim=1).cpu().eq(which).float().mean() * 100)


@torch.no_grad()
def set_feature_norm(encoder: Encoder, data: Captioned, norm: float) -> None:
    """Scale the vision projection so that features have length ``norm`` on average; no cosine changes."""
    if isinstance(encoder.visual, VisionTransformer):
        lengths = embed_pictures(encoder, data.pictures[data.held_out()]).norm(dim=-1)
        encoder.visual.proj.mul_(norm / lengths.mean())
