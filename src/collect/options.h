#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "engine/generation/request.h"
#include "tensor/compute.h"
#include "text/datasets/dataset.h"

namespace foregate::collect {

inline constexpr int64_t kDefaultTraces = 20'000;
inline constexpr int64_t kDefaultMaxLength = 512;
inline constexpr int64_t kDefaultShardTraces = 512;

/// What `foregate collect` does.
struct CollectOptions {
  std::filesystem::path model;  ///< checkpoint directory in the Hugging Face layout
  std::string model_name;       ///< for the manifest; empty: the directory's name
  std::vector<text::DatasetSpec> data;
  std::filesystem::path output;            ///< trace directory, made or continued
  int64_t traces = kDefaultTraces;         ///< shared equally over the datasets
  int64_t max_length = kDefaultMaxLength;  ///< texts are cut to this many tokens
  tensor::Compute compute = {};            ///< quantisation: chosen from free memory unless given
  /// How the model continues every text before routing is recorded: `prompt`, `id`, `stream` and
  /// `logprobs` are not read. Nothing: texts stay as they are.
  std::optional<engine::GenerationRequest> generate{};
  bool record_logits = false;
  double feature_fraction = 0;  ///< share of traces whose hidden states are recorded
  uint64_t seed = 0;
  bool strict = false;  ///< a dataset that runs short is an error
  int64_t shard_traces = kDefaultShardTraces;
  int64_t batch_tokens = 0;              ///< 0: chosen for the device and its free memory
  int64_t max_memory = 0;                ///< bytes of the device's memory to take; 0: what is free
  std::filesystem::path save_quantized;  ///< where to keep the quantised weights; empty: nowhere
  bool random_weights = false;  ///< read only config.json and tokenizer.json: for measuring speed

  /// Tokens of the longest text, what is added included.
  int64_t longest_text() const { return max_length + (generate ? generate->max_tokens : 0); }
};

}  // namespace foregate::collect
