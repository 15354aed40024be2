#pragma once

#include <cstdint>
#include <optional>

#include "base/json.h"
#include "nn/rotary.h"

namespace foregate::models {

// Readers of the rotation's fields in config.json: rope_theta and rope_scaling beside each other,
// or rope_parameters with all of it. They throw DataError naming file, key, value and what is
// supported.

/// How `width` elements of a head turn, as rope_type says. Only where `longrope` says so may it be
/// Phi-3.5-MoE's longrope, of which the factors for short texts are read.
nn::Rotary read_rotary(const JsonReader& reader, int64_t width, bool longrope = false);

/// The longest text that read_rotary's is for; nothing: any. Of a longrope the original context.
std::optional<int64_t> read_longest_rotation(const JsonReader& reader);

/// Of a head's elements, those that turn: `head_dim` times partial_rotary_factor, or rotary_dim.
/// One of the two must be there.
int64_t read_rotary_width(const JsonReader& reader, int64_t head_dim);
/// Refuses what read_rotary_width reads, unless it says all.
void refuse_partial_rotary(const JsonReader& reader, int64_t head_dim);

/// What DeepSeek multiplies the scale of scores by where the context is stretched: the square of
/// yarn_magnitude(factor, mscale_all_dim) (modeling_deepseek_v3.py, DeepseekV3Attention).
double read_deepseek_score_factor(const JsonReader& reader);

}  // namespace foregate::models
