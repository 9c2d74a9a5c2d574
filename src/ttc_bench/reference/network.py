"""The networks: Hugging Face Llama models, and a lean forward pass to train them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from ttc_bench.reference.recipe import ModelParams
from ttc_bench.reference.tokenizer import MAX_LENGTH

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


def llama_config(size: ModelParams, tokenizer: PreTrainedTokenizerFast, **more: Any) -> Any:
    """Return the Hugging Face configuration of a model."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=64 * math.ceil(len(tokenizer) / 64),
        hidden_size=size.width,
        intermediate_size=size.inner,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=MAX_LENGTH,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **more,
    )


def new_model(size: ModelParams, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """Return an untrained causal language model."""
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    model: Any = LlamaForCausalLM(llama_config(size, tokenizer))
    # Tied embeddings of words that are equally likely grow alike before they are told apart
    # (copying them was then learnt very late): start them well apart.
    model.model.embed_tokens.weight.data *= 5
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight.data /= math.sqrt(2 * size.layers)
    return model  # type: ignore[no-any-return]


def dropout_rates(layers: int, top: float) -> list[float]:
    """Return LayerSkip's chance of skipping each layer: 0 at the first, ``top`` at the last."""
    return [top * (2 ** (i / max(layers - 1, 1)) - 1) for i in range(layers)]


def skipped(layers: int, top: float, rng: random.Random) -> set[int]:
    """Return the layers that this step leaves out."""
    return {i for i, rate in enumerate(dropout_rates(layers, top)) if rng.random() < rate}


def hidden_states(
    core: Any,
    inputs: torch.Tensor,
    skip: Collection[int] = (),
    taps: Sequence[int] = (),
    fused: bool = False,
) -> dict[int, torch.Tensor]:
    """Return normalised states after the last layer (key 0) and after each tapped layer.

    The same arithmetic as Hugging Face's, for right-padded rows; the tests hold it to that.

    Args:
        core: A `LlamaModel`.
        inputs: Token ids, padded on the right.
        skip: Layers to leave out.
        taps: Numbers of layers (from 1) whose states are returned too.
        fused: Run each layer as `fused_layer`.
    """
    states = core.embed_tokens(inputs)
    positions = torch.arange(inputs.shape[1], device=inputs.device)[None]
    turns = core.rotary_emb(states, positions)
    through = fused_layer() if fused else _layer
    exits = {}
    for number, layer in enumerate(core.layers):
        if number not in skip:
            states = through(layer, states, turns)
        if number + 1 in taps:
            exits[number + 1] = _norm(core.norm, states)
    exits[0] = _norm(core.norm, states)
    return exits


def _layer(
    layer: Any, states: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    states = states + attend(layer.self_attn, _norm(layer.input_layernorm, states), turns)
    after: torch.Tensor = layer.mlp(_norm(layer.post_attention_layernorm, states))
    return states + after


Layer = Callable[[Any, torch.Tensor, tuple[torch.Tensor, torch.Tensor]], torch.Tensor]


@cache
def fused_layer() -> Layer:
    """Return a layer's forward pass, compiled: the operations between its products become few.

    On a CPU with bfloat16 products they take most of the time. Compiled once for all layers and
    shapes, in half a minute; needs a C++ compiler.
    """
    import torch._inductor.config

    # Compiling processes of its own would outlive a training process that is killed.
    torch._inductor.config.compile_threads = 1
    compiled: Layer = torch.compile(_layer, dynamic=True)
    return compiled


def can_fuse() -> bool:
    """Return whether layers can be fused here."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except InvalidCxxCompiler:
        return False


def _norm(part: Any, states: torch.Tensor) -> torch.Tensor:
    """Return what a `LlamaRMSNorm` does, in one operation instead of six.

    Under autocast the result is cast here, once for all the matrices that it goes to.
    """
    normed = F.rms_norm(states, part.weight.shape, part.weight, part.variance_epsilon)
    kind = states.device.type
    return normed.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else normed


def attend(
    part: Any, states: torch.Tensor, turns: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return causal self-attention, by plain matrix products on CPU (faster than SDPA there)."""
    rows, length, width = states.shape
    heads = [
        projection(states).view(rows, length, -1, part.head_dim).transpose(1, 2)
        for projection in (part.q_proj, part.k_proj, part.v_proj)
    ]
    query, key = (_rotate(x, *turns).to(heads[2].dtype) for x in heads[:2])
    if states.is_cuda:
        mixed = F.scaled_dot_product_attention(query, key, heads[2], is_causal=True)
    else:
        mixed = _plain_attention(query, key, heads[2])
    joined: torch.Tensor = part.o_proj(mixed.transpose(1, 2).reshape(rows, length, width))
    return joined


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    left, right = x.chunk(2, -1)
    half = cos.shape[-1] // 2
    cos, sin = cos[:, None, :, :half], sin[:, None, :, :half]
    return torch.cat((left * cos - right * sin, right * cos + left * sin), -1)


def _plain_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    rows, heads, length, size = query.shape
    flat = (rows * heads, length, size)
    mask = torch.full((length, length), float("-inf"), dtype=query.dtype).triu(1)
    left = (query * size**-0.5).reshape(flat)
    scores = torch.baddbmm(mask.expand(flat[0], -1, -1), left, key.reshape(flat).transpose(1, 2))
    weights = F.softmax(scores, -1, dtype=scores.dtype)
    return torch.bmm(weights, value.reshape(flat)).view(query.shape)


def export(model: Any, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a model and its tokenizer in Hugging Face layout, weights rounded to bfloat16.

    The configuration says float32, so that loading gives exactly the rounded numbers in the
    type that decodes fastest on CPU.
    """
    import copy
    import json

    rounded = copy.deepcopy(model).to(torch.bfloat16)
    folder.mkdir(parents=True, exist_ok=True)
    rounded.save_pretrained(str(folder))
    config = folder / "config.json"
    facts = json.loads(config.read_text(encoding="utf-8"))
    facts["dtype"] = "float32"
    facts.pop("torch_dtype", None)
    config.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(str(folder))
    for file in folder.glob("*.safetensors"):
        file.chmod(0o644)


def verifier_from(target: Any, beta: float) -> Any:
    """Return a model with the target's weights, to be trained on and then read as a reward.

    Args:
        target: The target.
        beta: What its configuration says of how it is read (`engines.runtime.verifier`).
    """
    import copy

    verifier = copy.deepcopy(target)
    verifier.config.implicit_reward = {"beta": beta}
    return verifier


def draft_from(target: Any, layers: int) -> Any:
    """Return a draft that starts from the target's embeddings and first layers."""
    import copy

    from transformers import LlamaForCausalLM

    config = copy.deepcopy(target.config)
    config.num_hidden_layers = layers
    draft: Any = LlamaForCausalLM(config)
    draft.load_state_dict(target.state_dict(), strict=False)
    return draft
