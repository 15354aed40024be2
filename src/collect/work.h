#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "tensor/device/transfer.h"

namespace foregate::collect {

/// A text on its way through the engine.
struct TokenizedText {
  int dataset = 0;
  int64_t row = 0;
  std::vector<int32_t> ids;
  bool with_features = false;
  int64_t prompt_tokens = 0;  ///< of `ids`; the model added the others
};

/// The texts of one shard, in trace order.
struct ShardWork {
  int index = 0;
  std::vector<TokenizedText> texts{};

  int64_t num_tokens() const;
  int64_t num_feature_texts() const;
  int64_t num_feature_tokens() const;
};

/// A run of consecutive texts of a shard that go through the engine together.
struct BatchRange {
  size_t first_text = 0;
  size_t num_texts = 0;
};

int64_t num_tokens(const ShardWork& work, BatchRange range);

/// Cuts a shard into batches of at most `budget` tokens and about equal size; a text longer than
/// the budget is a batch of its own. Depends on the shard alone, so that a resumed run forms the
/// same batches.
std::vector<BatchRange> cut_batches(const ShardWork& work, int64_t budget);

/// What the engine said about one batch, on the CPU or on its way there.
struct BatchResult {
  std::shared_ptr<const ShardWork> work;
  BatchRange range;
  bool last_of_shard = false;
  tensor::DeviceEvent began;  ///< with `ended`: the device's time for the batch; not on the CPU
  tensor::DeviceEvent ended;
  tensor::DeviceEvent ready;    ///< after it the tensors may be read; see wait_for
  torch::Tensor experts;        ///< [T, L, k] int32
  torch::Tensor gate_weights;   ///< [T, L, k] float16
  torch::Tensor router_logits;  ///< [T, L, E] float16; undefined unless recorded
  // Of the texts with features; undefined without.
  torch::Tensor router_inputs;  ///< [S, L, H] compute dtype
  torch::Tensor residual;       ///< [S, L, H] bfloat16
};

}  // namespace foregate::collect
