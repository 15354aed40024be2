"""DeepSeek-MoE in PyTorch, for parity: transformers has no such class (the checkpoint brings its own code).

All but the sparse MLP is transformers' Llama, whose layers DeepSeek-MoE shares. The MLP follows section 3 of the
paper (arXiv 2401.06066): y = sum of shared experts + sum over the top-k of gate_i * expert_i(x), gates a softmax
over all routed experts, divided by their sum only if norm_topk_prob.
"""
import copy

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaMLP


def mlp_of(config, size):
    config = copy.copy(config)
    config.intermediate_size = size
    return LlamaMLP(config)


class DeepseekTopKRouter(nn.Linear):
    """Returns what transformers' routers return: logits, gate weights, experts."""

    def __init__(self, config):
        super().__init__(config.hidden_size, config.n_routed_experts, bias=False)
        self.top_k, self.normalise = config.num_experts_per_tok, config.norm_topk_prob

    def forward(self, rows):
        logits = super().forward(rows)
        gates, chosen = logits.softmax(-1).topk(self.top_k, -1)
        return logits, gates / gates.sum(-1, keepdim=True) if self.normalise else gates, chosen


class SparseMlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = DeepseekTopKRouter(config)
        self.experts = nn.ModuleList(mlp_of(config, config.moe_intermediate_size)
                                     for _ in range(config.n_routed_experts))
        if config.n_shared_experts:
            self.shared_experts = mlp_of(config, config.moe_intermediate_size * config.n_shared_experts)

    def forward(self, x):
        rows = x.view(-1, x.shape[-1])
        _, gates, chosen = self.gate(rows)
        out = torch.zeros_like(rows)
        for token, (experts, weights) in enumerate(zip(chosen.tolist(), gates)):
            out[token] = sum(w * self.experts[e](rows[token]) for e, w in zip(experts, weights))
        if hasattr(self, "shared_experts"):
            out = out + self.shared_experts(rows)
        return out.view_as(x)


class DeepseekForCausalLM(LlamaForCausalLM):
    def __init__(self, config):
        super().__init__(config)
        for i, layer in enumerate(self.model.layers):
            if i >= config.first_k_dense_replace and i % config.moe_layer_freq == 0:
                layer.mlp = SparseMlp(config)

    @classmethod
    def from_json(cls, config):
        fields = {k: v for k, v in config.items() if k not in ("model_type", "architectures")}
        config = LlamaConfig(**fields, attn_implementation="eager")
        return cls(config)

    def forward(self, input_ids, **_ignored):
        return super().forward(input_ids=input_ids, use_cache=False)
