#pragma once

#include <torch/types.h>

#include <cstdint>
#include <span>
#include <vector>

#include "engine/kv_cache.h"

namespace foregate::engine {

/// New tokens of several sequences, back to back without padding: prompts, parts of prompts and
/// single tokens that were just generated, in any mixture. Attention does not cross `cu_seqlens`.
struct StepBatch {
  std::vector<int32_t> token_ids;              ///< [T]
  std::vector<int32_t> cu_seqlens = {0};       ///< [texts + 1], first 0, last T
  std::vector<KvCache::Sequence> sequences{};  ///< [texts] of the cache; empty: without one
  int num_texts() const { return static_cast<int>(cu_seqlens.size()) - 1; }
  int num_tokens() const { return static_cast<int>(token_ids.size()); }
  /// A text by itself, from its first token to its last.
  void add(std::span<const int32_t> ids);
  /// What follows the tokens that the cache has of this sequence.
  void add(KvCache::Sequence sequence, std::span<const int32_t> ids);
};

struct StepResult {
  /// What the model says of each text's next token. [texts, V] float32, on the engine's device;
  /// undefined if the engine is routing_only. Valid until the next step.
  torch::Tensor next_token_logits{};
};

}  // namespace foregate::engine
