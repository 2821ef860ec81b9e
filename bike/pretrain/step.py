"""One step of contrastive pretraining: batches, loss, learning rate. Everything is a function of seed and step."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bike.data.spatial import normalize
from bike.model.encoders import Encoder, VisionTransformer
from bike.params import Pretrain
from bike.pretrain.stills import Stills
from bike.text.tokenizer import tokenize

HIGHEST_LOGIT_SCALE = math.log(100)  # as in CLIP
HIGHEST_GRADIENT_NORM = 1.0


class Captioned:
    """Pictures, the distinct captions, and which caption each picture has.

    Many pictures share a caption, and captions share few tokens. So equal captions are encoded once a step, positions
    after the longest end-of-text are left out (they change no class embedding under the causal mask), and ids are
    numbered anew, 0 to U, in their old order.

    Args:
        stills: those to train on, then those held out.
        num_held_out: how many stand at the end to check with.

    Attributes:
        pictures: uint8 (N, 3, S, S).
        which: (N,) number of each picture's caption.
        ids: (M, L) renumbered token ids of the captions.
        used: (U,) the tokenizer's ids in the order of their new numbers.
    """

    def __init__(self, stills: Stills, num_held_out: int) -> None:
        captions, which = np.unique(np.array(stills.captions), return_inverse=True)
        ids = tokenize([str(caption) for caption in captions])
        length = int(ids.argmax(dim=1).max()) + 1
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


def build_optimizer(encoder: Encoder, params: Pretrain) -> torch.optim.AdamW:
    """AdamW as CLIP was trained with: no weight decay on biases, norms, scales and embeddings."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in encoder.named_parameters():
        (matrices if parameter.ndim >= 2 and "embedding" not in name else others).append(parameter)
    groups = [{"params": matrices, "weight_decay": params.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=params.lr, betas=(0.9, 0.98), eps=1e-6)


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
    order = np.random.default_rng([params.seed, 78, epoch]).permutation(number)
    return torch.from_numpy(order[place * params.batch_size : (place + 1) * params.batch_size])


def pair_loss(pictures: Tensor, captions: Tensor, which: Tensor, scale: Tensor) -> Tensor:
    """Contrastive loss of pictures (B, D) and their distinct captions (U, D), both directions averaged.

    Args:
        pictures, captions: embeddings of any length.
        which: (B,) row of each picture's caption; a caption of several pictures has its share in each.
        scale: multiplies the cosines.
    """
    logits = scale * F.normalize(pictures, dim=-1) @ F.normalize(captions, dim=-1).T
    same = F.one_hot(which, len(captions)).float()
    loss: Tensor = (F.cross_entropy(logits, which) + F.cross_entropy(logits.T, (same / same.sum(dim=0)).T)) / 2
    return loss


def train_step(
    encoder: Encoder, optimizer: torch.optim.Optimizer, data: Captioned, step: int, params: Pretrain
) -> float:
    """Do step ``step`` (from 0) in place.

    Returns:
        The loss before the step.
    """
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, params)
    rows = batch_rows(step, data.num_train, params)
    present, which = torch.unique(data.which[rows], return_inverse=True)
    pictures = encoder.encode_image(normalize(data.pictures[rows]))
    captions = encoder.embed_text(data.ids[present])
    loss = pair_loss(pictures, captions, which, encoder.logit_scale.exp())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(encoder.parameters(), HIGHEST_GRADIENT_NORM)
    optimizer.step()
    with torch.no_grad():
        encoder.logit_scale.clamp_(max=HIGHEST_LOGIT_SCALE)
    return float(loss.detach())


@torch.no_grad()
def embed_pictures(encoder: Encoder, pictures: Tensor) -> Tensor:
    """Embeddings (N, D) of pictures uint8 (N, 3, S, S), in chunks."""
    return torch.cat([encoder.encode_image(normalize(part)) for part in torch.split(pictures, 128)])


@torch.no_grad()
def caption_accuracy(encoder: Encoder, data: Captioned) -> float:
    """Per cent of the held-out stills whose nearest caption, of all distinct ones among them, is their own."""
    rows = data.held_out()
    present, which = torch.unique(data.which[rows], return_inverse=True)
    pictures = F.normalize(embed_pictures(encoder, data.pictures[rows]), dim=-1)
    captions = F.normalize(encoder.embed_text(data.ids[present]), dim=-1)
    return float((pictures @ captions.T).argmax(dim=1).eq(which).float().mean() * 100)


@torch.no_grad()
def set_feature_norm(encoder: Encoder, data: Captioned, norm: float) -> None:
    """Scale the vision projection so that features have length ``norm`` on average; no cosine changes."""
    if isinstance(encoder.visual, VisionTransformer):
        lengths = embed_pictures(encoder, data.pictures[data.held_out()]).norm(dim=-1)
        encoder.visual.proj.mul_(norm / lengths.mean())
