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

/// The tensors of a decoder with latent attention and DeepSeek's MoE layers, without a choice bias.
WeightNames deepseek_v2_names();
/// With one.
WeightNames deepseek_v3_names(const std::string& prefix = "");
/// Fills in mlp.gate.e_score_correction_bias.
void add_choice_bias_name(WeightNames& names);

}  // namespace foregate::models
