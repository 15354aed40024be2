#pragma once

#include <string>

#include "models/architecture.h"

namespace foregate::models {

// What DeepSeek-V3 and the models that follow it have alike.

/// The fields of its config.json: latent attention, the first layers dense, a shared expert, and
/// the router.
ConfigTable deepseek_v3_table();

/// Makes the router of `table` DeepSeek-V3's: sigmoid scores, a bias that chooses, groups by the
/// sum of their two best, weights divided by their sum (with 1e-20) if norm_topk_prob, and scaled.
void use_deepseek_v3_router(ConfigTable& table);

/// DeepSeek-V3.2's decoder under its own name or another's: V3 with an indexer that keeps the
/// index_topk most relevant keys of every query. Texts are no longer than that here: all keys are
/// kept, and the indexer has no say.
Architecture deepseek_sparse_attention(const char* model_type);

/// The tensors of a decoder with latent attention and DeepSeek's MoE layers, without a choice bias.
WeightNames deepseek_v2_names();
/// With one.
WeightNames deepseek_v3_names(const std::string& prefix = "");
/// The tensors of V3's MoE layers and of the dense ones before them.
void add_deepseek_v3_layer_names(WeightNames& names);

}  // namespace foregate::models
