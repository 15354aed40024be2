#pragma once

// Names in the feature files that collect writes beside a shard and predict reads.
// part-NNNNN.features.safetensors holds, for the sampled traces of the shard in row order:
//   rows           int64 [texts]           row of each text in the shard
//   offsets        int64 [texts + 1]       its first token in the tensors below
//   router_inputs  compute dtype [tokens, L, H]  what each MoE layer's router saw, exact: the
//                                                own-router control recomputes decisions from it
//   residual       bfloat16 [tokens, L, H]       the residual stream entering each MoE layer, in
//                                                front of its attention
// and routers.safetensors, once per trace directory, the routers the decisions came from:
//   router.weight               float32 [L, E, H]
//   post_attention_norm.weight  float32 [L, H]   the RMSNorm in front of each router
//   router.logit_bias           float32 [L, E]   only if the model has one
//   router.choice_bias          float32 [L, E]   only if the model has one
//   with metadata rms_norm_eps, and router_spec, a RouterSpec in JSON: absent means softmax

#include <cstdint>
#include <string>

namespace foregate::trace::features {

inline constexpr const char* kRows = "rows";
inline constexpr const char* kOffsets = "offsets";
inline constexpr const char* kRouterInputs = "router_inputs";
inline constexpr const char* kResidual = "residual";
inline constexpr const char* kRoutersFile = "routers.safetensors";
inline constexpr const char* kRouterWeight = "router.weight";
inline constexpr const char* kNormWeight = "post_attention_norm.weight";
inline constexpr const char* kLogitBias = "router.logit_bias";
inline constexpr const char* kChoiceBias = "router.choice_bias";
inline constexpr const char* kNormEpsilon = "rms_norm_eps";
inline constexpr const char* kRouterSpec = "router_spec";

/// Whether the trace keeps the hidden states of the text in `row` of `dataset`: a share `fraction`
/// of them, chosen by hash so that neither order nor resuming matters.
bool is_chosen(const std::string& dataset, int64_t row, uint64_t seed, double fraction);

}  // namespace foregate::trace::features
