#pragma once

#include "base/json.h"
#include "models/config.h"

namespace foregate::models {

// Readers of config.json fields that architectures share. All throw DataError naming file, key,
// value and what is supported.

/// vocab_size, hidden_size, num_hidden_layers, max_position_embeddings, rms_norm_eps,
/// tie_word_embeddings, quantization_config; refuses activations other than silu.
void read_decoder_fields(const JsonReader& reader, ModelConfig& config);

/// num_attention_heads, num_key_value_heads, head_dim, the rope fields.
GroupedQueryConfig read_grouped_query_fields(const JsonReader& reader, int64_t hidden_size);

/// Refuses sliding-window attention that would cut off any position the model allows. Needs
/// max_positions.
void refuse_sliding_window(const JsonReader& reader, const ModelConfig& config);

/// Refuses a sliding_window that would cut off any position, whether or not it is switched on by
/// another key. Needs max_positions.
void refuse_short_window(const JsonReader& reader, const ModelConfig& config);

/// Marks the layers that decoder_sparse_step and mlp_only_layers leave sparse. Needs num_layers.
void read_sparse_layers(const JsonReader& reader, ModelConfig& config);

/// Marks the layers from first_k_dense_replace on whose number moe_layer_freq divides. Needs
/// num_layers.
void read_layers_behind_dense(const JsonReader& reader, ModelConfig& config);

/// Largest size that config fields may have: products of two stay far from overflow.
inline constexpr int64_t kMaxConfigSize = int64_t{1} << 24;

}  // namespace foregate::models
