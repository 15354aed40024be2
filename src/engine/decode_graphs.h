#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>

#include "engine/decoder.h"
#include "engine/kv_cache.h"
#include "tensor/device/cuda_graph.h"

namespace foregate::engine {

/// Steps of decoding on a GPU, each recorded as a CUDA graph for its number of sequences: kernels
/// of microseconds would otherwise wait for the host, which launches them one by one.
class DecodeGraphs {
 public:
  using Forward = std::function<torch::Tensor(const DecoderStep&)>;

  /// Of steps over this cache, whose sequences have at most `most_tokens` tokens.
  DecodeGraphs(const KvCache& cache, int64_t most_tokens, int64_t query_heads,
               torch::Device device);
  ~DecodeGraphs();

  /// Whether they are of this cache.
  bool belong_to(const KvCache& cache) const { return cache_number_ == cache.number(); }

  /// Runs `forward` on a step that gives each sequence one token, which the cache has room for
  /// already. The result is there until the next step.
  torch::Tensor run(std::span<const int32_t> token_ids,
                    std::span<const KvCache::Sequence> sequences, KvCache& cache,
                    const Forward& forward);

 private:
  struct Recorded;

  uint64_t cache_number_;
  int64_t most_tokens_;
  int64_t most_pages_;  // of a sequence
  int64_t query_heads_;
  torch::Device device_;
  tensor::CudaGraphMemory memory_;
  std::map<size_t, std::unique_ptr<Recorded>> by_sequences_;
};

}  // namespace foregate::engine
