"""Reading a model of transformers into the parts of a decoder: one function per family."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers import (
    Gemma3ForCausalLM,
    GPT2LMHeadModel,
    GPTNeoForCausalLM,
    GPTNeoXForCausalLM,
    LlamaForCausalLM,
    OPTForCausalLM,
    PreTrainedModel,
)

from deepthink.engine.decoders.decoder import Block, Decoder, Turns
from deepthink.engine.decoders.pieces import (
    Function,
    feed_forward,
    gated_feed_forward,
    rms_norm,
    same,
)

Project = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def decoder_of(model: PreTrainedModel) -> Decoder | None:
    """The decoder of a model, made of its own modules; None where it must run in its own code.

    These are models of other families, of subclasses, with hooks or with forwards of their own.
    """
    return _FAMILIES[type(model)](model) if is_plain(model) else None


def is_plain(model: PreTrainedModel) -> bool:
    """Whether a model is of a known family as it is, and nothing follows its output layer.

    Then its logits are what the output layer's weights make of the states.
    """
    capped = getattr(model.config, "final_logit_softcapping", None) is not None
    return type(model) in _FAMILIES and not capped and not any(map(_altered, model.modules()))


def _altered(module: nn.Module) -> bool:
    """Whether calling a module does more than its class says."""
    hooks = (module._forward_hooks, module._forward_pre_hooks)
    return any(hooks) or "forward" in module.__dict__


def _apart(query: nn.Module, key: nn.Module, value: nn.Module, width: int) -> Project:
    """Queries, keys and values by layers of their own."""

    def project(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (layer(x).unflatten(-1, (-1, width)) for layer in (query, key, value))
        return q, k, v

    return project


def _unturned(_x: Tensor, _places: Tensor) -> Turns:
    return {}


def _turned(rotary: Any, *kinds: str) -> Callable[[Tensor, Tensor], Turns]:
    """The angles by a model's own module, for each kind of layer that it knows."""

    def turns(x: Tensor, places: Tensor) -> Turns:
        angles = (
            {kind: rotary(x, places[None], kind) for kind in kinds}
            if kinds
            else {"": rotary(x, places[None])}
        )
        # the second half of the dimensions repeats the angles of the first
        return {
            kind: tuple(part[0, :, None, : part.shape[-1] // 2] for part in pair)
            for kind, pair in angles.items()
        }

    return turns


def _with_learnt_positions(model: Any, block: Callable[[Any], Block]) -> Decoder:
    """A decoder of blocks behind the sum of the tokens' and the positions' embeddings."""
    body = model.transformer
    return Decoder(
        type(model).__name__,
        tuple(map(block, body.h)),
        lambda ids, places: body.wte(ids).add_(body.wpe(places)),
        body.ln_f,
        _unturned,
        body.wpe.num_embeddings,
    )


def _gpt2(model: Any) -> Decoder:
    def block(layer: Any) -> Block:
        attention = layer.attn

        def project(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            joint = attention.c_attn(x).unflatten(-1, (3, -1, attention.head_dim))
            q, k, v = joint.unbind(1)
            return q, k, v

        return Block(
            project,
            attention.c_proj,
            feed_forward(layer.mlp.c_fc, layer.mlp.act, layer.mlp.c_proj),
            attention.scaling,
            before_attention=layer.ln_1,
            before_feed=layer.ln_2,
        )

    return _with_learnt_positions(model, block)


def _gpt_neo(model: Any) -> Decoder:
    """Unscaled attention in float32 at least; every second layer sees a window only."""

    def block(layer: Any) -> Block:
        attention = layer.attn.attention
        local = attention.attention_type == "local"
        return Block(
            _apart(attention.q_proj, attention.k_proj, attention.v_proj, attention.head_dim),
            attention.out_proj,
            feed_forward(layer.mlp.c_fc, layer.mlp.act, layer.mlp.c_proj),
            1.0,
            window=attention.config.window_size if local else None,
            wide=True,
            before_attention=layer.ln_1,
            before_feed=layer.ln_2,
        )

    return _with_learnt_positions(model, block)


def _gpt_neox(model: Any) -> Decoder:
    body = model.gpt_neox

    def block(layer: Any) -> Block:
        attention = layer.attention

        def project(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            joint = attention.query_key_value(x).unflatten(-1, (-1, 3, attention.head_size))
            q, k, v = joint.unbind(2)
            return q, k, v

        return Block(
            project,
            attention.dense,
            feed_forward(layer.mlp.dense_h_to_4h, layer.mlp.act, layer.mlp.dense_4h_to_h),
            attention.scaling,
            rotation="",
            parallel=layer.use_parallel_residual,
            before_attention=layer.input_layernorm,
            before_feed=layer.post_attention_layernorm,
        )

    return Decoder(
        type(model).__name__,
        tuple(map(block, body.layers)),
        lambda ids, _places: body.embed_in(ids),
        body.final_layer_norm,
        _turned(body.rotary_emb),
    )


def _opt(model: Any) -> Decoder:
    """OPT-350M has its norms behind the sums, and an embedding narrower than its layers."""
    body = model.model.decoder

    def block(layer: Any) -> Block:
        attention = layer.self_attn
        norms: tuple[Function, Function] = (layer.self_attn_layer_norm, layer.final_layer_norm)
        first = layer.do_layer_norm_before
        before = norms if first else (same, same)
        return Block(
            _apart(attention.q_proj, attention.k_proj, attention.v_proj, attention.head_dim),
            attention.out_proj,
            feed_forward(layer.fc1, layer.activation_fn, layer.fc2),
            attention.scaling,
            before_attention=before[0],
            before_feed=before[1],
            after_sums=(same, same) if first else norms,
        )

    def embed(ids: Tensor, places: Tensor) -> Tensor:
        embedded = body.embed_tokens(ids)
        if body.project_in is not None:
            embedded = body.project_in(embedded)
        positions: Tensor = body.embed_positions(places, position_ids=places)
        return positions.add_(embedded)

    def final(x: Tensor) -> Tensor:
        for module in (body.final_layer_norm, body.project_out):
            x = x if module is None else module(x)
        return x

    known = body.embed_positions
    return Decoder(
        type(model).__name__,
        tuple(map(block, body.layers)),
        embed,
        final,
        _unturned,
        known.num_embeddings - known.offset,
    )


def _llama(model: Any) -> Decoder:
    body = model.model

    def block(layer: Any) -> Block:
        attention, mlp = layer.self_attn, layer.mlp
        return Block(
            _apart(attention.q_proj, attention.k_proj, attention.v_proj, attention.head_dim),
            attention.o_proj,
            gated_feed_forward(mlp.gate_proj, mlp.act_fn, mlp.up_proj, mlp.down_proj),
            attention.scaling,
            rotation="",
            before_attention=_llama_norm(layer.input_layernorm),
            before_feed=_llama_norm(layer.post_attention_layernorm),
        )

    return Decoder(
        type(model).__name__,
        tuple(map(block, body.layers)),
        lambda ids, _places: body.embed_tokens(ids),
        _llama_norm(body.norm),
        _turned(body.rotary_emb),
    )


def _llama_norm(module: Any) -> Function:
    return rms_norm(module, module.variance_epsilon)


def _gemma3(model: Any) -> Decoder:
    """Norms on both sides of each part, and on each head's queries and keys; some windows."""
    body = model.model

    def block(layer: Any) -> Block:
        attention, mlp = layer.self_attn, layer.mlp
        plain = _apart(attention.q_proj, attention.k_proj, attention.v_proj, attention.head_dim)
        norm_q, norm_k = _gemma_norm(attention.q_norm), _gemma_norm(attention.k_norm)

        def project(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            q, k, v = plain(x)
            return norm_q(q), norm_k(k), v

        return Block(
            project,
            attention.o_proj,
            gated_feed_forward(mlp.gate_proj, mlp.act_fn, mlp.up_proj, mlp.down_proj),
            attention.scaling,
            window=attention.sliding_window,
            rotation=attention.layer_type,
            before_attention=_gemma_norm(layer.input_layernorm),
            after_attention=_gemma_norm(layer.post_attention_layernorm),
            before_feed=_gemma_norm(layer.pre_feedforward_layernorm),
            after_feed=_gemma_norm(layer.post_feedforward_layernorm),
        )

    return Decoder(
        type(model).__name__,
        tuple(map(block, body.layers)),
        lambda ids, _places: body.embed_tokens(ids),
        _gemma_norm(body.norm),
        _turned(body.rotary_emb, *sorted(set(model.config.layer_types))),
    )


def _gemma_norm(module: Any) -> Function:
    return rms_norm(module, module.eps, offset=1.0)


_FAMILIES: dict[type, Callable[[Any], Decoder]] = {
    GPT2LMHeadModel: _gpt2,
    GPTNeoForCausalLM: _gpt_neo,
    GPTNeoXForCausalLM: _gpt_neox,
    OPTForCausalLM: _opt,
    LlamaForCausalLM: _llama,
    Gemma3ForCausalLM: _gemma3,
}
