#pragma once

#include "base/json.h"
#include "models/config.h"

namespace foregate::models {

// Readers of config.json fields that architectures share. All throw DataError naming file, key,
// value and what is supported.

/// vocab_size, hidden_size, num_hidden_layers, max_position_embeddings, rms_norm_eps,
/// tie_word_embeddings.
void read_decoder_fields(const JsonReader& reader, ModelConfig& config);

/// Refuses a hidden_act other than silu.
void require_silu(const JsonReader& reader);

/// embedding_multiplier, residual_multiplier and logits_scaling, which divides.
Multipliers read_multipliers(const JsonReader& reader);
/// One of them; 1 where it is absent.
double read_multiplier(const JsonReader& reader, const char* key);

/// num_attention_heads, num_key_value_heads, head_dim.
GroupedQueryConfig read_grouped_query_fields(const JsonReader& reader, int64_t hidden_size);

/// num_attention_heads, q_lora_rank, kv_lora_rank and the sizes of heads: DeepSeek's latent
/// attention, without its rotation and scale.
LatentConfig read_latent_fields(const JsonReader& reader);

/// Refuses sliding-window attention that would cut off any position the model allows. Needs
/// max_positions.
void refuse_sliding_window(const JsonReader& reader, const ModelConfig& config);

/// Refuses a sliding_window that would cut off any position, whether or not it is switched on by
/// another key. Needs max_positions.
void refuse_short_window(const JsonReader& reader, const ModelConfig& config);

/// Refuses sliding windows that layer_types or, without it, max_window_layers give to any layer.
/// Needs max_positions and num_layers.
void refuse_window_behind_layers(const JsonReader& reader, const ModelConfig& config);

/// sliding_window for the layers that layer_types calls sliding_attention, or without layer_types
/// for every second one from the first on; 0 for full_attention and where the window cuts off
/// nothing. Needs num_layers and max_positions.
std::vector<int64_t> read_layer_windows(const JsonReader& reader, const ModelConfig& config);

/// swiglu_limit and swiglu_alpha, which gpt-oss's files leave out where they are 7 and 1.702.
nn::GatedActivation read_clamped_swiglu(const JsonReader& reader);

/// Marks the layers that decoder_sparse_step and mlp_only_layers leave sparse. Needs num_layers.
void read_sparse_layers(const JsonReader& reader, ModelConfig& config);

/// Marks the layers from first_k_dense_replace on whose number moe_layer_freq divides, or those
/// that mlp_layer_types calls sparse. Needs num_layers.
void read_layers_behind_dense(const JsonReader& reader, ModelConfig& config);

/// Marks every moe_layer_interval-th of the layers from moe_layer_start_index to
/// moe_layer_end_index. Needs num_layers.
void read_layers_by_interval(const JsonReader& reader, ModelConfig& config);

/// Largest size that config fields may have: products of two stay far from overflow.
inline constexpr int64_t kMaxConfigSize = int64_t{1} << 24;

}  // namespace foregate::models
